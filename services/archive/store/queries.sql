-- name: ensure_month
-- Takes any moment; makes the partition of its month if it is missing, one process at a time; returns whether it did.
SELECT ensure_month($1::timestamptz)

-- name: record
-- Takes progress ($1, one item per message) and entries ($2) as JSON arrays, because asyncpg takes three times as long over arrays of
-- PostgreSQL's. Adds the progress up, stores the entries whose key is new, each with what it is found by, and counts them in their
-- conversations, which are made where they are missing, as are those who speak in groups. Returns the conversations that have new
-- entries, and how many these are. Locks outgoing, incoming, conversations and participants in this order, each in key order.
WITH told AS (
    SELECT fact->>0 AS message_id, fact->>1 AS tenant_id, (fact->>2)::integer AS height, fact->>3 AS status,
           (fact->>4)::timestamptz AS status_at, fact->>5 AS error_code, fact->>6 AS wamid, (fact->>7)::integer AS wamid_attempt,
           fact->>8 AS entry_id
    FROM jsonb_array_elements($1::jsonb) AS fact
), entry AS (
    SELECT fields->>0 AS id, (fields->>1)::timestamptz AS sent_at, fields->>2 AS tenant_id, fields->>3 AS number_id,
           fields->>4 AS contact_phone, fields->>5 AS contact_name, fields->>6 AS direction, fields->>7 AS message_id,
           fields->>8 AS wamid, fields->>9 AS type, fields->>10 AS body, fields->11 AS content, (fields->>12)::boolean AS is_unread,
           fields->>13 AS author, fields->>14 AS author_name, fields->>15 AS preview, (fields->>16)::integer AS tenant_no,
           fields->>17 AS tsv
    FROM jsonb_array_elements($2::jsonb) AS fields
), added_up AS (
    INSERT INTO outgoing AS known (message_id, tenant_id, height, status, status_at, error_code, wamid, wamid_attempt, entry_id)
    SELECT * FROM told ORDER BY tenant_id, message_id
    ON CONFLICT (tenant_id, message_id) DO UPDATE
    SET entry_id = coalesce(known.entry_id, excluded.entry_id),
        -- The higher fact wins, of equal ones the earlier. Spelt out: a subquery a row takes most of the statement's time.
        status = CASE WHEN (excluded.height, known.status_at, coalesce(excluded.error_code, ''))
                         > (known.height, excluded.status_at, coalesce(known.error_code, ''))
                      THEN excluded.status ELSE known.status END,
        error_code = CASE WHEN (excluded.height, known.status_at, coalesce(excluded.error_code, ''))
                             > (known.height, excluded.status_at, coalesce(known.error_code, ''))
                          THEN excluded.error_code ELSE known.error_code END,
        status_at = CASE WHEN excluded.height > known.height THEN excluded.status_at
                         WHEN excluded.height = known.height THEN least(excluded.status_at, known.status_at)
                         ELSE known.status_at END,
        height = greatest(excluded.height, known.height),
        wamid = CASE WHEN (excluded.wamid_attempt, coalesce(excluded.wamid, ''))
                        > (known.wamid_attempt, coalesce(known.wamid, ''))
                     THEN excluded.wamid ELSE known.wamid END,
        wamid_attempt = greatest(excluded.wamid_attempt, known.wamid_attempt)
    WHERE (known.entry_id IS NULL AND excluded.entry_id IS NOT NULL)
       OR excluded.height > known.height
       OR excluded.wamid_attempt > known.wamid_attempt
       OR (excluded.height = known.height AND excluded.status_at < known.status_at)
    RETURNING entry_id
), arrived AS (
    INSERT INTO incoming (number_id, wamid, tenant_id, entry_id, sent_at)
    SELECT number_id, wamid, tenant_id, id, sent_at FROM entry WHERE message_id IS NULL ORDER BY number_id, wamid
    ON CONFLICT (number_id, wamid) DO NOTHING
    RETURNING entry_id
), fresh AS MATERIALIZED (
    SELECT entry.*
    FROM entry JOIN (SELECT entry_id FROM added_up UNION ALL SELECT entry_id FROM arrived) AS key ON key.entry_id = entry.id
), counted AS (
    SELECT tenant_id, number_id, contact_phone,
           'cnv_' || right(min(id), 26) AS id,  -- should it be new: its first entry's, which nobody else has
           count(*) AS entries,
           count(*) FILTER (WHERE is_unread) AS unread,
           (array_agg(id ORDER BY sent_at DESC, id DESC))[1] AS last_id,
           (array_agg(contact_name ORDER BY sent_at DESC, id DESC) FILTER (WHERE contact_name IS NOT NULL))[1] AS name,
           max(sent_at) FILTER (WHERE contact_name IS NOT NULL) AS named_at
    FROM fresh
    GROUP BY tenant_id, number_id, contact_phone
), opened AS (
    INSERT INTO conversations AS known (
        id, tenant_id, number_id, contact_phone, contact_name, contact_named_at, entry_count, unread_count, last_entry_at,
        last_entry_id, last_direction, last_type, last_preview
    )
    SELECT counted.id, counted.tenant_id, counted.number_id, counted.contact_phone, counted.name, counted.named_at,
           counted.entries, counted.unread, last.sent_at, last.id, last.direction, last.type, last.preview
    FROM counted JOIN fresh AS last ON last.id = counted.last_id
    ORDER BY counted.tenant_id, counted.number_id, counted.contact_phone
    ON CONFLICT (tenant_id, number_id, contact_phone) DO UPDATE
    SET entry_count = known.entry_count + excluded.entry_count,
        unread_count = known.unread_count + excluded.unread_count,
        -- The newest name and the newest entry win; each column decides alike.
        contact_name = CASE WHEN excluded.contact_named_at < known.contact_named_at THEN known.contact_name
                            ELSE coalesce(excluded.contact_name, known.contact_name) END,
        contact_named_at = greatest(excluded.contact_named_at, known.contact_named_at),
        last_direction = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                              THEN known.last_direction ELSE excluded.last_direction END,
        last_type = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                         THEN known.last_type ELSE excluded.last_type END,
        last_preview = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                            THEN known.last_preview ELSE excluded.last_preview END,
        last_entry_id = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                             THEN known.last_entry_id ELSE excluded.last_entry_id END,
        last_entry_at = greatest(excluded.last_entry_at, known.last_entry_at)
    RETURNING id, conversation_no, tenant_id, number_id, contact_phone
), spoke AS MATERIALIZED (
    SELECT DISTINCT ON (opened.conversation_no, fresh.author)
           fresh.id, fresh.tenant_no, opened.conversation_no, fresh.author, fresh.author_name,
           CASE WHEN fresh.author_name IS NOT NULL THEN fresh.sent_at END AS named_at
    FROM fresh JOIN opened USING (tenant_id, number_id, contact_phone)
    WHERE fresh.author IS NOT NULL
    ORDER BY opened.conversation_no, fresh.author, fresh.author_name IS NULL, fresh.sent_at DESC
), known_speaker AS MATERIALIZED (
    -- Locked, so that nobody who is being erased is made the author of anything.
    SELECT participants.participant_no, participants.conversation_no, spoke.author, participants.name, participants.named_at
    FROM spoke JOIN participants
      ON participants.conversation_no = spoke.conversation_no AND participants.key = 'address:' || spoke.author
    ORDER BY participants.conversation_no, participants.key
    FOR KEY SHARE OF participants
), spoken AS MATERIALIZED (
    SELECT spoke.*, known_speaker.participant_no,
           known_speaker.name IS DISTINCT FROM spoke.author_name
               AND spoke.named_at > coalesce(known_speaker.named_at, '-infinity') AS is_renamed
    FROM spoke LEFT JOIN known_speaker USING (conversation_no, author)
), introduced AS (
    INSERT INTO participants AS known (id, tenant_no, conversation_no, key, address, name, named_at)
    SELECT 'prt_' || right(id, 26), tenant_no, conversation_no, 'address:' || author, author, author_name, named_at
    FROM spoken
    WHERE participant_no IS NULL OR is_renamed
    ORDER BY conversation_no, author
    ON CONFLICT (conversation_no, key) DO UPDATE
    SET name = CASE WHEN excluded.named_at < known.named_at THEN known.name ELSE coalesce(excluded.name, known.name) END,
        named_at = greatest(excluded.named_at, known.named_at)
    RETURNING participant_no, conversation_no, address
), author AS (
    SELECT participant_no, conversation_no, address FROM introduced
    UNION
    SELECT participant_no, conversation_no, author FROM spoken WHERE participant_no IS NOT NULL
), placed AS MATERIALIZED (
    SELECT fresh.*, opened.id AS conversation_id, opened.conversation_no, author.participant_no
    FROM fresh
    JOIN opened USING (tenant_id, number_id, contact_phone)
    LEFT JOIN author ON author.conversation_no = opened.conversation_no AND author.address = fresh.author
), kept AS (
    INSERT INTO entries (id, sent_at, tenant_id, conversation_id, direction, message_id, wamid, type, content, author_no)
    SELECT id, sent_at, tenant_id, conversation_id, direction, message_id, wamid, type, content, participant_no FROM placed
), searchable AS (
    INSERT INTO search_rows (sent_at, conversation_no, author_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
    SELECT sent_at, conversation_no, participant_no, tenant_no, direction = 'outgoing', id, type, body,
           (tsv || ' ' || tenant_no || '~c' || conversation_no)::tsvector
    FROM placed
)
SELECT ARRAY(SELECT id FROM opened) AS conversation_ids, (SELECT count(*) FROM fresh) AS stored

-- name: conversations_of_entries
-- Takes tenants, numbers and addresses, one of each an entry; gives the conversations where these stand.
SELECT id FROM conversations
WHERE (tenant_id, number_id, contact_phone) IN (SELECT * FROM unnest($1::text[], $2::text[], $3::text[]))

-- name: forget_without_entry
-- Takes days; deletes at most 10,000 facts about messages whose entry never came.
DELETE FROM outgoing
WHERE (tenant_id, message_id) IN (
    SELECT tenant_id, message_id FROM outgoing
    WHERE entry_id IS NULL AND told_at < now() - make_interval(days => $1)
    ORDER BY told_at
    LIMIT 10000
)
