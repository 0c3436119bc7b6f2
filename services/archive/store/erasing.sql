-- name: take_turn
-- Takes the tenant; who erases for it, or looks, waits for others who do until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('archive.erasure ' || $1::text, 0))

-- name: unknown_participants
-- Takes the tenant and ids; gives those that no participant of the tenant has.
SELECT asked.id FROM unnest($2::text[]) AS asked (id)
WHERE NOT EXISTS (
    SELECT FROM participants JOIN tenants ON tenants.tenant_no = participants.tenant_no
    WHERE tenants.tenant_id = $1 AND participants.id = asked.id
)

-- name: people_called
-- Takes the tenant, addresses and ids of participants; gives those participants, where they speak and what that is called, and whether
-- it is an imported chat with nobody else but the tenant's own people: then it is theirs as a whole.
SELECT theirs.participant_no, theirs.name, theirs.key, theirs.key LIKE 'gone:%' AS is_apart, conversations.id AS conversation_id,
       conversations.conversation_no, conversations.contact_phone, conversations.title,
       conversations.contact_phone LIKE 'chat:%' AND NOT EXISTS (
           SELECT FROM participants AS other
           WHERE other.conversation_no = theirs.conversation_no AND NOT other.is_business
             AND NOT (coalesce(other.address = ANY ($2::text[]), false) OR other.id = ANY ($3::text[]))
       ) AS is_alone
FROM participants AS theirs
JOIN tenants ON tenants.tenant_no = theirs.tenant_no
JOIN conversations ON conversations.conversation_no = theirs.conversation_no
WHERE tenants.tenant_id = $1 AND (theirs.address = ANY ($2::text[]) OR theirs.id = ANY ($3::text[]))

-- name: conversations_with
-- Takes the tenant and addresses; gives the conversations with them.
SELECT id, conversation_no FROM conversations WHERE tenant_id = $1 AND contact_phone = ANY ($2::text[])

-- name: page_of_entries
-- Takes a conversation, the key (time, id) to go on after, a limit, and participants or NULL; gives entries, the oldest first: whether
-- they are of these participants, and what they quote.
SELECT id, sent_at, wamid, coalesce(author_no = ANY ($5::bigint[]), false) AS is_theirs, (content -> 'context')::text AS context
FROM entries
WHERE conversation_id = $1 AND (sent_at, id) > ($2::timestamptz, $3::text)
ORDER BY sent_at, id
LIMIT $4

-- name: forget_quotes
-- Takes ids and times of entries; they do not say any more what they answer.
UPDATE entries SET content = content - 'context'
FROM unnest($1::text[], $2::timestamptz[]) AS key (id, sent_at)
WHERE entries.id = key.id AND entries.sent_at = key.sent_at

-- name: versions_of
-- Takes ids of entries; what they said before does not say it any more either.
UPDATE entry_versions SET content = content - 'context'
WHERE entry_id = ANY ($1::text[]) AND content ? 'context'

-- name: reacted_entries
-- Takes the tenant, addresses and a limit; gives entries to which these reacted.
SELECT id, sent_at, conversation_id FROM entries WHERE tenant_id = $1 AND reactions ?| $2::text[] LIMIT $3

-- name: forget_reactions
-- Takes ids and times of entries, and addresses; takes what these reacted off them.
UPDATE entries SET reactions = nullif(reactions - $3::text[], '{}')
FROM unnest($1::text[], $2::timestamptz[]) AS key (id, sent_at)
WHERE entries.id = key.id AND entries.sent_at = key.sent_at

-- name: page_of_amendments
-- Takes the tenant, an event to go on after and a limit; gives amendments that wait, of other tenants without what they say.
SELECT event_id, CASE WHEN tenant_id = $1 THEN wamid END AS wamid, contact_phone, content ->> 'by' AS who
FROM amendments WHERE event_id > $2 ORDER BY event_id LIMIT $3

-- name: delete_amendments
-- Takes events.
DELETE FROM amendments WHERE event_id = ANY ($1::text[])

-- name: imports_of
-- Takes the tenant, conversations and addresses; gives the imports into these conversations, and those that are to go into one.
SELECT import_no FROM imports
WHERE tenant_id = $1 AND (conversation_id = ANY ($2::text[]) OR options ->> 'contact' = ANY ($3::text[]))

-- name: delete_imports
-- Takes imports; forgets them with what could not be read. Their objects are due to be removed; who works on one has lost it.
WITH due AS (
    UPDATE import_objects SET remove_at = now() WHERE import_no = ANY ($1::bigint[]) AND remove_at IS NULL
), line AS (
    DELETE FROM import_lines WHERE import_no = ANY ($1::bigint[])
), claim AS (
    DELETE FROM import_claims WHERE import_no = ANY ($1::bigint[])
)
DELETE FROM imports WHERE import_no = ANY ($1::bigint[])

-- name: imports_naming
-- Takes the tenant, conversations and names; gives imports into these that have ended and still name somebody so: in what the file said
-- about itself, or in lines that could not be read.
SELECT import_no FROM imports
WHERE tenant_id = $1 AND conversation_id = ANY ($2::text[]) AND state IN ('completed', 'failed', 'canceled', 'undone')
  AND EXISTS (
      SELECT FROM unnest($3::text[]) AS called (name)
      WHERE strpos(concat(survey, resume, options, file_name), called.name) > 0
         OR EXISTS (
             SELECT FROM import_lines WHERE import_lines.import_no = imports.import_no AND strpos(import_lines.text, called.name) > 0
         )
  )

-- name: unname_imports
-- Takes imports and names; what was known of their files is forgotten, and the lines that name somebody so.
WITH line AS (
    DELETE FROM import_lines
    WHERE import_no = ANY ($1::bigint[])
      AND EXISTS (SELECT FROM unnest($2::text[]) AS called (name) WHERE strpos(import_lines.text, called.name) > 0)
)
UPDATE imports SET survey = NULL, resume = NULL, options = options - 'me' - 'title', file_name = 'chat.txt' WHERE import_no = ANY ($1::bigint[])

-- name: exports_holding
-- Takes the tenant and conversations; gives exports that can hold something of them (as `delete_exports_with`).
SELECT id FROM exports
WHERE tenant_id = $1 AND state <> 'deleted'
  AND coalesce(scope ->> 'conversation_id', scope -> 'search' ->> 'conversation_id', ($2::text[])[1]) = ANY ($2::text[])

-- name: delete_drained
-- Takes the tenant and conversations that are locked; deletes those of which nothing is left to be counted out of the statistics and
-- the lexicon, with all that stands under their numbers.
WITH drained AS (
    SELECT conversations.id, conversations.conversation_no
    FROM conversations JOIN tenants USING (tenant_id)
    WHERE conversations.tenant_id = $1 AND conversations.id = ANY ($2::text[])
      AND NOT EXISTS (SELECT FROM entries WHERE entries.conversation_id = conversations.id)
      AND NOT EXISTS (SELECT FROM search_rows WHERE search_rows.conversation_no = conversations.conversation_no)
      AND NOT EXISTS (SELECT FROM stale_days WHERE stale_days.conversation_no = conversations.conversation_no)
      AND NOT EXISTS (SELECT FROM lexicon WHERE lexeme = tenants.tenant_no || '~c' || conversations.conversation_no)
), participant AS (
    DELETE FROM participants USING drained WHERE participants.conversation_no = drained.conversation_no
), label AS (
    DELETE FROM conversation_labels USING drained WHERE conversation_labels.conversation_no = drained.conversation_no
), word AS (
    DELETE FROM month_words USING drained WHERE month_words.conversation_no = drained.conversation_no
), stale_month AS (
    DELETE FROM stale_months USING drained WHERE stale_months.conversation_no = drained.conversation_no
), day AS (
    DELETE FROM day_statistics USING drained WHERE day_statistics.subject = drained.conversation_no
), brief AS (
    DELETE FROM conversation_stats USING drained WHERE conversation_stats.conversation_no = drained.conversation_no
), key AS (
    DELETE FROM import_keys USING drained WHERE import_keys.conversation_no = drained.conversation_no
)
DELETE FROM conversations USING drained WHERE conversations.id = drained.id

-- name: lock_conversations
-- Takes conversations; locks them in key order: nobody stores into them.
SELECT FROM conversations WHERE id = ANY ($1::text[]) ORDER BY tenant_id, number_id, contact_phone FOR UPDATE

-- name: unname_conversations
-- Takes conversations; until they are gone, nobody is named by them. The newest name wins, so none that comes late does.
UPDATE conversations SET contact_name = NULL, contact_named_at = 'infinity', title = NULL
WHERE id = ANY ($1::text[]) AND (contact_name IS NOT NULL OR title IS NOT NULL)

-- name: rename_chats
-- Takes imported chats, those of them that lose their title, and those that lose the key that was made of it. The new one is no title's,
-- which are in lower case there.
UPDATE conversations
SET title = CASE WHEN id = ANY ($2::text[]) THEN NULL ELSE title END,
    contact_phone = CASE WHEN id = ANY ($3::text[]) THEN 'chat:Chat ' || conversation_no ELSE contact_phone END
WHERE id = ANY ($1::text[])

-- name: lock_participants
-- Takes participants; locks them in key order: nobody makes one an author, and the next statement sees the imports of who just did.
SELECT FROM participants WHERE participant_no = ANY ($1::bigint[]) ORDER BY conversation_no, key FOR UPDATE

-- name: set_apart
-- Takes participants; nothing more is stored as theirs from now on: what they say is that of a new one, whom the next pass finds. An
-- import that knows them goes on to its end before.
UPDATE participants SET key = 'gone:' || participant_no
WHERE participant_no IN (
    SELECT participant_no FROM participants
    WHERE participant_no = ANY ($1::bigint[])
      AND NOT EXISTS (
          SELECT FROM imports WHERE imports.conversation_no = participants.conversation_no AND imports.state = 'importing'
      )
    ORDER BY conversation_no, key
    FOR UPDATE
)

-- name: delete_participants
-- Takes participants; those who were set apart before their entries were removed go.
DELETE FROM participants WHERE participant_no = ANY ($1::bigint[]) AND key LIKE 'gone:%'

-- name: page_of_progress
-- Takes the tenant, the key (time, message) to go on after and a limit; gives what was told of messages that have no entry, of other
-- tenants without the provider's id.
SELECT message_id, told_at, CASE WHEN tenant_id = $1 THEN wamid END AS wamid
FROM outgoing
WHERE entry_id IS NULL AND (told_at, message_id) > ($2::timestamptz, $3::text)
ORDER BY told_at, message_id
LIMIT $4

-- name: delete_progress
-- Takes the tenant and messages; forgets what was told of them, unless their entry has come.
DELETE FROM outgoing WHERE tenant_id = $1 AND message_id = ANY ($2::text[]) AND entry_id IS NULL
