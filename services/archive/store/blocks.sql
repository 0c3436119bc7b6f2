-- name: bear_long
-- Takes the longest time of a statement; holds for the transaction.
SELECT set_config('statement_timeout', $1, true)

-- name: hold_conversation
-- Takes a conversation's number; imports into it wait for each other until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('archive.imports', $1))

-- name: keep_conversation
-- Takes a conversation's number; nobody deletes it until the transaction ends. Nothing, where it is not there any more.
SELECT true FROM conversations WHERE conversation_no = $1 FOR KEY SHARE

-- name: conversation_of_import
-- Takes the tenant and a conversation's id; gives the conversation.
SELECT id, conversation_no, contact_phone, contact_name FROM conversations WHERE tenant_id = $1 AND id = $2

-- name: open_conversation
-- Takes a fresh id, the tenant, a number, the other side's address and a title; gives the conversation, made where it is missing.
INSERT INTO conversations AS known (id, tenant_id, number_id, contact_phone, title) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, number_id, contact_phone) DO UPDATE SET title = coalesce(known.title, excluded.title)
RETURNING id, conversation_no, contact_phone, contact_name

-- name: settle_conversation
-- Takes an import's number, the lease's id, and the conversation; gives the import's id, nothing where the lease is lost.
UPDATE imports
SET conversation_id = $3, conversation_no = $4, importing_at = coalesce(importing_at, now()), updated_at = now()
WHERE import_no = $1 AND lease_id = $2 AND state = 'importing'
RETURNING id

-- name: ensure_speakers
-- Takes a tenant's and a conversation's number, and speakers as a JSON array: id, key, address, name, whether they are the business.
-- Gives their numbers by key, made where they are missing; who is there already stays as he is. Waits for who sets one apart.
WITH given AS (
    SELECT speaker->>0 AS id, speaker->>1 AS key, speaker->>2 AS address, speaker->>3 AS name, (speaker->>4)::boolean AS is_business
    FROM jsonb_array_elements($3::jsonb) AS speaker
), known AS MATERIALIZED (
    -- Locked, so that nobody who is being erased is made the author of anything.
    SELECT participants.key, participants.participant_no, participants.is_business
    FROM participants JOIN given ON given.key = participants.key
    WHERE participants.conversation_no = $2
    ORDER BY participants.key
    FOR KEY SHARE OF participants
), made AS (
    INSERT INTO participants (id, tenant_no, conversation_no, key, address, name, is_business)
    SELECT given.id, $1, $2, given.key, given.address, given.name, given.is_business
    FROM given
    WHERE NOT EXISTS (SELECT FROM known WHERE known.key = given.key)
    ORDER BY given.key
    ON CONFLICT (conversation_no, key) DO UPDATE SET name = coalesce(participants.name, excluded.name)
    RETURNING key, participant_no, is_business
)
SELECT key, participant_no, is_business FROM made
UNION ALL
SELECT key, participant_no, is_business FROM known

-- name: expect_media
-- Takes a key, the import's number and the lease's id; something is about to be written under it, or was before a crash. Gives the key,
-- nothing where the lease is lost: who ends the import releases what is noted before, and nothing is noted after.
WITH held AS MATERIALIZED (
    SELECT import_no FROM imports WHERE import_no = $2 AND lease_id = $3 AND state = 'importing' FOR SHARE
)
INSERT INTO import_objects (object_key, import_no) SELECT $1, import_no FROM held
ON CONFLICT (object_key) DO UPDATE SET remove_at = NULL
RETURNING object_key

-- name: known_keys
-- Takes a conversation's number and fingerprints; gives those that it has.
SELECT fingerprint, import_no, entry_id, sent_at FROM import_keys WHERE conversation_no = $1 AND fingerprint = ANY($2::bytea[])

-- name: live_entries
-- Takes a conversation's number and spans of time; gives its entries within them that no record of an import is known to be yet, in
-- order. The key is asked for entry by entry: there are as many as messages in these minutes, and millions of keys.
SELECT live.entry_id, live.sent_at, live.is_outgoing, live.type, live.body
FROM unnest($2::timestamptz[], $3::timestamptz[]) AS span (low, high)
CROSS JOIN LATERAL (
    SELECT entry_id, sent_at, is_outgoing, type, body FROM search_rows
    WHERE conversation_no = $1 AND sent_at >= span.low AND sent_at < span.high AND NOT is_notice
    ORDER BY sent_at, row_no
) AS live
WHERE (SELECT true FROM import_keys WHERE import_keys.entry_id = live.entry_id LIMIT 1) IS NULL
ORDER BY live.sent_at, live.entry_id

-- name: claim_keys
-- Takes a conversation's number, an import's number and fingerprints that other imports brought: this one brought them too.
INSERT INTO import_claims (conversation_no, fingerprint, import_no)
SELECT $1, fingerprint, $2 FROM unnest($3::bytea[]) AS fingerprint ORDER BY fingerprint
ON CONFLICT DO NOTHING

-- name: give_media
-- Takes entries whose file came only now, as a JSON array: id, time, media.
UPDATE entries SET media = given.value->2
FROM jsonb_array_elements($1::jsonb) AS given
WHERE entries.id = given.value->>0 AND entries.sent_at = (given.value->>1)::timestamptz AND entries.media ? 'lost'
RETURNING entries.id

-- name: keep_files
-- Takes a tenant's and a conversation's number, and files as a JSON array: id, entry, key, type, size, SHA-256 in hexadecimal, name.
INSERT INTO files (id, tenant_no, conversation_no, entry_id, object_key, mime_type, size_bytes, sha256, file_name)
SELECT file->>0, $1, $2, file->>1, file->>2, file->>3, (file->>4)::bigint, decode(file->>5, 'hex'), file->>6
FROM jsonb_array_elements($3::jsonb) AS file

-- name: keep_lines
-- Takes an import's number, how many lines it has, and more of them as a JSON array: line, reason, text.
INSERT INTO import_lines (import_no, place, line, reason, text)
SELECT $1, $2 + ordinality, (line->>0)::bigint, line->>1, line->>2
FROM jsonb_array_elements($3::jsonb) WITH ORDINALITY AS given (line, ordinality)
ON CONFLICT DO NOTHING

-- name: add_to_conversation
-- Takes a conversation's id and number, how many entries were stored in it, and the first and the last of their times.
UPDATE conversations AS known
SET entry_count = known.entry_count + $3,
    last_entry_at = newest.sent_at,
    last_entry_id = newest.entry_id,
    last_direction = CASE WHEN newest.is_outgoing THEN 'outgoing' ELSE 'incoming' END,
    last_type = newest.type,
    last_preview = left(btrim(regexp_replace(left(newest.body, 240), '\s+', ' ', 'g')), 120)
FROM (
    (
        SELECT sent_at, entry_id, is_outgoing, type, body FROM search_rows
        WHERE conversation_no = $2 AND sent_at BETWEEN $4::timestamptz AND $5::timestamptz
        ORDER BY sent_at DESC, entry_id DESC
        LIMIT 1
    )
    UNION ALL
    SELECT last_entry_at, last_entry_id, last_direction = 'outgoing', last_type, last_preview FROM conversations WHERE id = $1
    ORDER BY sent_at DESC NULLS LAST, entry_id DESC
    LIMIT 1
) AS newest
WHERE known.id = $1

-- name: stored
-- Takes an import's number, the lease's id, the state to resume from, the bytes behind it, and what was stored, known, kept and not
-- understood since; gives the import's id, nothing where the lease is lost.
UPDATE imports
SET resume = $3::jsonb, read_bytes = $4, entry_count = entry_count + $5, known_count = known_count + $6,
    file_count = file_count + $7, doubt_count = doubt_count + $8, tries = 0, updated_at = now()
WHERE import_no = $1 AND lease_id = $2 AND state = 'importing'
RETURNING id

-- name: keys_to_undo
-- Takes a conversation's number, the fingerprint to go on after, an import's number, and a limit; gives keys, and which of the other
-- imports that brought the entry too would answer for it. Not one that is taken back itself: it may have gone past this key already.
SELECT known.fingerprint, known.import_no, known.entry_id, known.sent_at, min(claim.import_no) AS heir
FROM (
    SELECT * FROM import_keys WHERE conversation_no = $1 AND fingerprint > $2 ORDER BY fingerprint LIMIT $4
) AS known
LEFT JOIN import_claims AS claim
    ON claim.conversation_no = $1 AND claim.fingerprint = known.fingerprint AND claim.import_no <> $3
    AND (SELECT imports.state NOT IN ('undoing', 'undone') FROM imports WHERE imports.import_no = claim.import_no)
GROUP BY known.fingerprint, known.import_no, known.entry_id, known.sent_at
ORDER BY known.fingerprint

-- name: bequeath
-- Takes a conversation's number and keys as a JSON array - fingerprint in hexadecimal, heir, entry, time: the heir answers for them.
WITH given AS (
    SELECT decode(key->>0, 'hex') AS fingerprint, (key->>1)::bigint AS heir, key->>2 AS entry_id, (key->>3)::timestamptz AS sent_at
    FROM jsonb_array_elements($2::jsonb) AS key
), settled AS (
    DELETE FROM import_claims USING given
    WHERE import_claims.conversation_no = $1 AND import_claims.fingerprint = given.fingerprint
      AND import_claims.import_no = given.heir
), entry AS (
    UPDATE entries SET import_no = given.heir FROM given WHERE entries.id = given.entry_id AND entries.sent_at = given.sent_at
)
UPDATE import_keys SET import_no = given.heir
FROM given
WHERE import_keys.conversation_no = $1 AND import_keys.fingerprint = given.fingerprint

-- name: drop_claims
-- Takes an import's number and a limit; it did not bring those keys any more.
DELETE FROM import_claims
WHERE (conversation_no, fingerprint, import_no) IN (
    SELECT conversation_no, fingerprint, import_no FROM import_claims WHERE import_no = $1 LIMIT $2
)

-- name: undone
-- Takes an import's number, the lease's id, the fingerprint up to which it is undone, and how many entries went; gives the import's
-- id, nothing where the lease is lost.
UPDATE imports
SET undo_after = $3, undone_count = undone_count + $4, tries = 0, updated_at = now()
WHERE import_no = $1 AND lease_id = $2 AND state = 'undoing'
RETURNING id
