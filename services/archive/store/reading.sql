-- name: conversations_page
-- Takes the tenant, the place to go on from, a limit, how many rows are looked at for it, and filters (NULL: any): a number, whether
-- something is unread, a kind, a part of a name, title or address in any case (as the database's own collation has
-- it: the address has "C", which knows A to Z). Gives conversations that have entries, the newest entry first.
SELECT * FROM (
    SELECT id, conversation_no, number_id, contact_phone, contact_name, title, entry_count, unread_count, read_until, last_entry_at,
           last_entry_id, last_direction, last_type, last_preview
    FROM conversations
    WHERE tenant_id = $1 AND last_entry_at IS NOT NULL AND (last_entry_at, id) < ($2::timestamptz, $3::text)
    ORDER BY last_entry_at DESC, id DESC
    LIMIT $5
) AS looked
WHERE ($6::text IS NULL OR number_id = $6)
  AND ($7::boolean IS NULL OR (unread_count > 0) = $7)
  AND ($8::text IS NULL OR $8 = CASE WHEN contact_phone LIKE 'group:%' THEN 'group'
                                     WHEN contact_phone LIKE 'chat:%' THEN 'chat' ELSE 'contact' END)
  AND ($9::text IS NULL OR strpos(
      lower((coalesce(title, '') || E'\n' || coalesce(contact_name, '') || E'\n' || contact_phone) COLLATE "default"),
      lower($9 COLLATE "default")
  ) > 0)
ORDER BY last_entry_at DESC, id DESC
LIMIT $4

-- name: conversations_looked
-- Takes the tenant, the place to go on from and how many rows were looked at; gives the last one's place, none where there are fewer.
SELECT last_entry_at, id
FROM conversations
WHERE tenant_id = $1 AND last_entry_at IS NOT NULL AND (last_entry_at, id) < ($2::timestamptz, $3::text)
ORDER BY last_entry_at DESC, id DESC
OFFSET $4 - 1 LIMIT 1

-- name: conversation
-- Takes the tenant and an id; gives the conversation, if it is the tenant's and has entries.
SELECT id, conversation_no, number_id, contact_phone, contact_name, title, entry_count, unread_count, read_until, last_entry_at,
       last_entry_id, last_direction, last_type, last_preview
FROM conversations
WHERE tenant_id = $1 AND id = $2 AND last_entry_at IS NOT NULL

-- name: name_conversation
-- Takes the tenant, an id and a title; gives the conversation as it is then, if it is the tenant's and has entries.
UPDATE conversations SET title = $3
WHERE tenant_id = $1 AND id = $2 AND last_entry_at IS NOT NULL
RETURNING id, conversation_no, number_id, contact_phone, contact_name, title, entry_count, unread_count, read_until, last_entry_at,
          last_entry_id, last_direction, last_type, last_preview

-- name: older_entries
-- Takes a conversation, a place and a limit; gives the entries before it, newest first. The place is said twice: partitions are left
-- out by the time alone.
WITH page AS MATERIALIZED (
    SELECT id, sent_at, conversation_id, direction, message_id, wamid, type, content, edited_at, revoked_at, media, reactions, author_no
    FROM entries
    WHERE conversation_id = $1 AND sent_at <= $2::timestamptz AND (sent_at, id) < ($2::timestamptz, $3::text)
    ORDER BY sent_at DESC, id DESC
    LIMIT $4
)
SELECT page.*, participants.id AS author_id, participants.name AS author_name, participants.address AS author_address,
       annotations.state AS annotated, annotations.language, annotations.sentiment, annotations.entities,
       bookmarks.note AS bookmark, ARRAY(SELECT label FROM entry_labels WHERE entry_id = page.id ORDER BY label) AS labels
FROM page
LEFT JOIN participants ON participants.participant_no = page.author_no
LEFT JOIN annotations ON annotations.entry_id = page.id AND annotations.state = 'done'
LEFT JOIN bookmarks ON bookmarks.entry_id = page.id
ORDER BY page.sent_at DESC, page.id DESC

-- name: newer_entries
-- Takes a conversation, a place and a limit; gives the entries after it, oldest first.
WITH page AS MATERIALIZED (
    SELECT id, sent_at, conversation_id, direction, message_id, wamid, type, content, edited_at, revoked_at, media, reactions, author_no
    FROM entries
    WHERE conversation_id = $1 AND sent_at >= $2::timestamptz AND (sent_at, id) > ($2::timestamptz, $3::text)
    ORDER BY sent_at, id
    LIMIT $4
)
SELECT page.*, participants.id AS author_id, participants.name AS author_name, participants.address AS author_address,
       annotations.state AS annotated, annotations.language, annotations.sentiment, annotations.entities,
       bookmarks.note AS bookmark, ARRAY(SELECT label FROM entry_labels WHERE entry_id = page.id ORDER BY label) AS labels
FROM page
LEFT JOIN participants ON participants.participant_no = page.author_no
LEFT JOIN annotations ON annotations.entry_id = page.id AND annotations.state = 'done'
LEFT JOIN bookmarks ON bookmarks.entry_id = page.id
ORDER BY page.sent_at, page.id

-- name: entry
-- Takes the tenant and an id; gives the entry. Asks every month: an id does not tell the time.
SELECT entries.id, entries.sent_at, entries.conversation_id, entries.direction, entries.message_id, entries.wamid, entries.type,
       entries.content, entries.edited_at, entries.revoked_at, entries.media, entries.reactions, entries.author_no,
       participants.id AS author_id, participants.name AS author_name, participants.address AS author_address,
       annotations.state AS annotated, annotations.language, annotations.sentiment, annotations.entities,
       bookmarks.note AS bookmark, ARRAY(SELECT label FROM entry_labels WHERE entry_id = entries.id ORDER BY label) AS labels
FROM entries
LEFT JOIN participants ON participants.participant_no = entries.author_no
LEFT JOIN annotations ON annotations.entry_id = entries.id AND annotations.state = 'done'
LEFT JOIN bookmarks ON bookmarks.entry_id = entries.id
WHERE entries.tenant_id = $1 AND entries.id = $2

-- name: progress
-- Takes the tenant and messages of his; gives how far they got.
SELECT message_id, status, status_at, error_code, wamid FROM outgoing WHERE tenant_id = $1 AND message_id = ANY($2::text[])

-- name: versions
-- Takes an entry, the place to go on from and a limit; gives what it said before and since when, the latest first: 1970 for what was
-- said first.
SELECT greatest(since, '1970-01-01T00:00:00Z') AS since, md5(content::text) AS id, content
FROM entry_versions
WHERE entry_id = $1
  AND (greatest(since, '1970-01-01T00:00:00Z'), md5(content::text) COLLATE "C") < ($2::timestamptz, $3::text COLLATE "C")
ORDER BY greatest(since, '1970-01-01T00:00:00Z') DESC, md5(content::text) COLLATE "C" DESC
LIMIT $4

-- name: media_page
-- Takes a conversation's number, kinds (NULL: all), a time from which on, the place to go on from and a limit; gives entries with files,
-- newest first.
WITH page AS MATERIALIZED (
    SELECT entry_id, sent_at
    FROM search_rows
    WHERE conversation_no = $1 AND type IN ('audio', 'document', 'image', 'media', 'sticker', 'video')
      AND ($2::text[] IS NULL OR type = ANY($2)) AND sent_at >= $3::timestamptz AND (sent_at, entry_id) < ($4::timestamptz, $5::text)
    ORDER BY sent_at DESC, entry_id DESC
    LIMIT $6
)
SELECT entries.id, entries.sent_at, entries.conversation_id, entries.direction, entries.message_id, entries.wamid, entries.type,
       entries.content, entries.edited_at, entries.revoked_at, entries.media, entries.reactions, entries.author_no,
       participants.id AS author_id, participants.name AS author_name, participants.address AS author_address,
       annotations.state AS annotated, annotations.language, annotations.sentiment, annotations.entities,
       bookmarks.note AS bookmark, ARRAY(SELECT label FROM entry_labels WHERE entry_id = entries.id ORDER BY label) AS labels
FROM page
JOIN entries ON entries.id = page.entry_id AND entries.sent_at = page.sent_at
LEFT JOIN participants ON participants.participant_no = entries.author_no
LEFT JOIN annotations ON annotations.entry_id = entries.id AND annotations.state = 'done'
LEFT JOIN bookmarks ON bookmarks.entry_id = entries.id
ORDER BY entries.sent_at DESC, entries.id DESC

-- name: media_months
-- Takes a conversation's number and a time zone; gives how many files of each kind came in each month, the latest month first.
SELECT to_char(sent_at AT TIME ZONE $2::text, 'YYYY-MM') AS month, type, count(*) AS files
FROM search_rows
WHERE conversation_no = $1 AND type IN ('audio', 'document', 'image', 'media', 'sticker', 'video')
GROUP BY 1, 2
ORDER BY 1 DESC, 2

-- name: calendar
-- Takes a conversation's number, a time zone, a first and a last moment; gives the days that have entries, and how many, the latest
-- first. Read from the index alone.
SELECT (sent_at AT TIME ZONE $2::text)::date AS day, count(*) AS entries
FROM search_rows
WHERE conversation_no = $1 AND sent_at >= $3::timestamptz AND sent_at < $4::timestamptz
GROUP BY 1
ORDER BY 1 DESC

-- name: speakers
-- Takes a conversation's number; gives its participants, and who has no row as such (the contact and the business of a conversation of
-- two) by the direction of their entries; with the number of their entries, the first one's and the last one's time.
WITH said AS (
    SELECT author_no, CASE WHEN author_no IS NULL THEN is_outgoing END AS is_outgoing, count(*) AS entries, min(sent_at) AS first_at,
           max(sent_at) AS last_at
    FROM search_rows
    WHERE conversation_no = $1 AND NOT is_notice
    GROUP BY 1, 2
)
SELECT participants.id, participants.address, participants.name, participants.is_business,
       coalesce(said.entries, 0) AS entries, said.first_at, said.last_at
FROM participants LEFT JOIN said ON said.author_no = participants.participant_no
WHERE participants.conversation_no = $1
UNION ALL
SELECT NULL, NULL, NULL, is_outgoing, entries, first_at, last_at FROM said WHERE author_no IS NULL
ORDER BY entries DESC, 1

-- name: change_participant
-- Takes a conversation's number, a participant, a name (NULL: as it is) and whether it is one of the business (NULL: as it is). A name
-- that was given stays, whatever WhatsApp tells later. What they said turns its direction by and by. Returns whether there is such a
-- one.
UPDATE participants
SET name = coalesce($3::text, name),
    named_at = CASE WHEN $3::text IS NULL THEN named_at ELSE 'infinity' END,
    is_turning = is_turning OR is_business <> coalesce($4::boolean, is_business),
    is_business = coalesce($4::boolean, is_business)
WHERE conversation_no = $1 AND id = $2
RETURNING true

-- name: turn
-- Takes a limit; turns the direction of so many entries of one participant that has become one of the business, or is no longer one.
-- Returns the conversation, its tenant and how many there were; nobody is left to be turned where it returns nothing. Locks the
-- participant (leaving out what others have), entries in the order of their ids, the conversation.
WITH participant AS MATERIALIZED (
    SELECT participant_no, conversation_no, is_business FROM participants
    WHERE is_turning
    ORDER BY participant_no
    LIMIT 1
    FOR NO KEY UPDATE SKIP LOCKED
), wrong AS MATERIALIZED (
    SELECT search_rows.row_no, search_rows.entry_id, search_rows.sent_at
    FROM participant JOIN search_rows
      ON search_rows.conversation_no = participant.conversation_no AND search_rows.author_no = participant.participant_no
    WHERE search_rows.is_outgoing <> participant.is_business
    LIMIT $1
), locked AS MATERIALIZED (
    SELECT entries.id, entries.sent_at
    FROM wrong JOIN entries ON entries.id = wrong.entry_id AND entries.sent_at = wrong.sent_at
    ORDER BY entries.id
    FOR UPDATE OF entries
), turned AS (
    UPDATE entries SET direction = CASE WHEN participant.is_business THEN 'outgoing' ELSE 'incoming' END
    FROM locked, participant
    WHERE entries.id = locked.id AND entries.sent_at = locked.sent_at
), found AS (
    UPDATE search_rows SET is_outgoing = participant.is_business
    FROM wrong, participant
    WHERE search_rows.row_no = wrong.row_no
), stale AS (
    INSERT INTO stale_days (conversation_no, day)
    SELECT DISTINCT participant.conversation_no, (wrong.sent_at AT TIME ZONE 'UTC')::date FROM wrong, participant
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
), last AS (
    UPDATE conversations SET last_direction = CASE WHEN participant.is_business THEN 'outgoing' ELSE 'incoming' END
    FROM participant
    WHERE conversations.conversation_no = participant.conversation_no
      AND conversations.last_entry_id IN (SELECT entry_id FROM wrong)
), done AS (
    UPDATE participants SET is_turning = false
    FROM participant
    WHERE participants.participant_no = participant.participant_no AND NOT EXISTS (SELECT FROM wrong)
)
SELECT conversations.id, conversations.tenant_id, (SELECT count(*) FROM wrong) AS entries
FROM participant JOIN conversations ON conversations.conversation_no = participant.conversation_no
