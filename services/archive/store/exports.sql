-- name: read_on
-- Takes nothing; for the rest of the transaction: rows come as they are read, not sorted first, and a reader may be slow; so may a
-- block, the first one of a large month that is searched.
SELECT set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true), set_config('idle_in_transaction_session_timeout', '90s', true),
       set_config('statement_timeout', '60s', true)

-- name: exported_conversation
-- Takes the tenant and a conversation; gives it.
SELECT id, number_id, contact_phone, contact_name, title, entry_count, last_entry_at, conversation_no
FROM conversations
WHERE tenant_id = $1 AND id = $2 AND last_entry_at IS NOT NULL

-- name: exported_conversations
-- Takes the tenant; gives the conversations that have entries, the newest entry first.
SELECT id, number_id, contact_phone, contact_name, title, entry_count, last_entry_at, conversation_no
FROM conversations
WHERE tenant_id = $1 AND last_entry_at IS NOT NULL
ORDER BY last_entry_at DESC, id DESC

-- name: exported_entries
-- Takes a conversation and two moments; gives its entries from the first to before the second, the oldest first.
SELECT entries.id, entries.sent_at, entries.conversation_id, entries.direction, entries.type, entries.content, entries.message_id,
       coalesce(entries.wamid, outgoing.wamid) AS wamid, outgoing.status, entries.edited_at, entries.revoked_at, entries.media,
       entries.reactions, coalesce(files.object_key, entries.media->>'object_key') AS object_key, entries.author_no,
       participants.name AS author_name, participants.address AS author_address, participants.is_business, bookmarks.note AS bookmark,
       ARRAY(SELECT label FROM entry_labels WHERE entry_id = entries.id) AS labels
FROM entries
LEFT JOIN outgoing ON outgoing.tenant_id = entries.tenant_id AND outgoing.message_id = entries.message_id
LEFT JOIN participants ON participants.participant_no = entries.author_no
LEFT JOIN files ON files.id = entries.media->>'file_id'
LEFT JOIN bookmarks ON bookmarks.entry_id = entries.id
WHERE entries.conversation_id = $1 AND entries.sent_at >= $2 AND entries.sent_at < $3
ORDER BY entries.sent_at, entries.id

-- name: next_found_month
-- Takes the tenant's number and a moment; gives the first moment from there on of which the tenant has something.
SELECT sent_at FROM search_rows
WHERE tenant_no = $1 AND sent_at >= $2
ORDER BY tenant_no, sent_at
LIMIT 1

-- name: exported_found
-- Takes the tenant's number, a tsquery with a month's lexeme, two moments of that month, and what narrows it (NULL: nothing) by
-- conversation, direction, type, label and author; gives the entries found, the oldest first. In two steps: a month's matches are few
-- enough to be sorted.
WITH found AS MATERIALIZED (
    SELECT search_rows.entry_id, search_rows.sent_at, search_rows.row_no, search_rows.body, search_rows.conversation_no
    FROM search_rows
    WHERE search_rows.tenant_no = $1 AND search_rows.tsv @@ $2::text::tsquery
      AND search_rows.sent_at >= $3 AND search_rows.sent_at < $4
      AND ($5::bigint IS NULL OR search_rows.conversation_no = $5)
      AND ($6::boolean IS NULL OR search_rows.is_outgoing = $6)
      AND ($7::text IS NULL OR search_rows.type = $7)
      AND ($8::text IS NULL OR EXISTS (
          SELECT FROM entry_labels
          WHERE entry_labels.tenant_no = $1 AND entry_labels.label = $8 AND entry_labels.sent_at = search_rows.sent_at
            AND entry_labels.entry_id = search_rows.entry_id
      ))
      AND ($9::bigint IS NULL OR search_rows.author_no = $9)
)
SELECT entries.id, entries.sent_at, entries.conversation_id, entries.direction, entries.type, entries.content, entries.message_id,
       coalesce(entries.wamid, outgoing.wamid) AS wamid, outgoing.status, entries.edited_at, entries.revoked_at, entries.media,
       entries.reactions, coalesce(files.object_key, entries.media->>'object_key') AS object_key, entries.author_no,
       participants.name AS author_name, participants.address AS author_address, participants.is_business, bookmarks.note AS bookmark,
       ARRAY(SELECT label FROM entry_labels WHERE entry_id = entries.id) AS labels,
       found.body AS found_body, conversations.number_id, conversations.contact_phone, conversations.contact_name,
       conversations.title, conversations.entry_count
FROM (SELECT * FROM found ORDER BY sent_at, row_no) AS found
JOIN conversations ON conversations.conversation_no = found.conversation_no
JOIN entries ON entries.id = found.entry_id AND entries.sent_at = found.sent_at AND entries.sent_at >= $3 AND entries.sent_at < $4
LEFT JOIN outgoing ON outgoing.tenant_id = entries.tenant_id AND outgoing.message_id = entries.message_id
LEFT JOIN participants ON participants.participant_no = entries.author_no
LEFT JOIN files ON files.id = entries.media->>'file_id'
LEFT JOIN bookmarks ON bookmarks.entry_id = entries.id
ORDER BY found.sent_at, found.row_no

-- name: create_export
-- Takes id, tenant, who asks, format, scope as JSON; gives the row, unless the tenant has $6 exports that are not done.
INSERT INTO exports (id, tenant_id, created_by, format, scope, state)
SELECT $1, $2, $3, $4, $5::jsonb, 'queued'
WHERE (SELECT count(*) FROM exports WHERE tenant_id = $2 AND state IN ('queued', 'running')) < $6
RETURNING *

-- name: exports_page
-- Takes the tenant, the id to go on from and a limit; gives exports, newest first.
SELECT * FROM exports
WHERE tenant_id = $1 AND state <> 'deleted' AND id < $2
ORDER BY id DESC
LIMIT $3

-- name: export
-- Takes the tenant and an id; gives the export.
SELECT * FROM exports WHERE tenant_id = $1 AND id = $2 AND state <> 'deleted'

-- name: cancel_export
-- Takes the tenant and an id; ends an export that is not done; gives it as it is then, whatever it is. A lease stays: its worker may
-- still be writing.
WITH ended AS (
    UPDATE exports SET state = 'canceled', finished_at = now()
    WHERE tenant_id = $1 AND id = $2 AND state IN ('queued', 'running')
    RETURNING *
)
SELECT * FROM ended
UNION ALL
SELECT * FROM exports WHERE tenant_id = $1 AND id = $2 AND state <> 'deleted' AND NOT EXISTS (SELECT FROM ended)

-- name: delete_export
-- Takes the tenant and an id; hides it until its file is gone; gives whether it was there. A lease stays, as in `cancel_export`.
UPDATE exports SET state = 'deleted', finished_at = coalesce(finished_at, now())
WHERE tenant_id = $1 AND id = $2 AND state <> 'deleted'
RETURNING true

-- name: claim_export
-- Takes the seconds of a lease; takes an export that waits or whose worker is gone, past the rows that others hold: of the tenant of
-- whose exports the fewest are being made, then of the one whose turn was longest ago, the oldest.
WITH tenant AS MATERIALIZED (
    SELECT open.tenant_id, open.running,
           (SELECT max(started_at) FROM (
               SELECT started_at FROM exports
               WHERE exports.tenant_id = open.tenant_id AND state <> 'deleted'
               ORDER BY id DESC
               LIMIT 100
           ) AS newest) AS begun_at
    FROM (
        SELECT tenant_id, count(*) FILTER (WHERE state = 'running' AND lease_until >= now()) AS running
        FROM exports WHERE state IN ('queued', 'running')
        GROUP BY tenant_id
    ) AS open
)
UPDATE exports
SET state = 'running', run = run + 1, lease_until = now() + make_interval(secs => $1), started_at = now(), entries = 0, media = 0,
    media_missing = 0, size_bytes = 0, object_key = 'exports/' || tenant_id || '/' || id || '-' || (run + 1)
WHERE id = (
    SELECT exports.id FROM exports JOIN tenant USING (tenant_id)
    WHERE exports.state IN ('queued', 'running') AND (exports.state = 'queued' OR exports.lease_until < now())
    ORDER BY tenant.running, tenant.begun_at NULLS FIRST, exports.created_at
    LIMIT 1
    FOR UPDATE OF exports SKIP LOCKED
)
RETURNING *

-- name: extend_export
-- Takes an export, its run, the seconds of a lease and the progress; gives whether this run is still the one.
UPDATE exports
SET lease_until = now() + make_interval(secs => $3), entries = $4, media = $5, media_missing = $6, size_bytes = $7
WHERE id = $1 AND run = $2 AND state = 'running'
RETURNING true

-- name: complete_export
-- Takes an export, its run and what became of it; gives whether this run was still the one.
UPDATE exports
SET state = 'completed', finished_at = now(), lease_until = NULL, expires_at = now() + make_interval(days => $3), entries = $4,
    media = $5, media_missing = $6, size_bytes = $7, sha256 = $8, mime_type = $9, file_name = $10
WHERE id = $1 AND run = $2 AND state = 'running'
RETURNING true

-- name: release_export
-- Takes an export and its run; lets another worker begin again.
UPDATE exports SET state = 'queued', lease_until = NULL WHERE id = $1 AND run = $2 AND state = 'running'

-- name: leave_export
-- Takes an export that was ended by others, and its run; its file is not written any more.
UPDATE exports SET lease_until = NULL WHERE id = $1 AND run = $2 AND state IN ('canceled', 'deleted')

-- name: fail_export
-- Takes an export, its run and a code; ends it.
UPDATE exports
SET state = 'failed', error_code = $3, finished_at = now(), lease_until = NULL
WHERE id = $1 AND run = $2 AND state = 'running'

-- name: expire_exports
-- Takes a limit; ends exports whose time is over; gives how many.
WITH over AS (
    SELECT id FROM exports WHERE state = 'completed' AND expires_at < now() ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
), expired AS (
    UPDATE exports SET state = 'expired' FROM over WHERE exports.id = over.id RETURNING 1
)
SELECT count(*) FROM expired

-- name: exports_to_clear
-- Takes a limit; gives the files of exports that nobody may read any more, nor writes.
SELECT id, object_key, run FROM exports
WHERE object_key IS NOT NULL AND state NOT IN ('queued', 'running', 'completed') AND (lease_until IS NULL OR lease_until < now())
ORDER BY id
LIMIT $1

-- name: clear_exports
-- Takes ids whose files are gone; notes it.
UPDATE exports SET object_key = NULL WHERE id = ANY($1::text[])

-- name: prune_exports
-- Takes days and a limit; forgets exports that were deleted, and those that ended so long ago; gives how many.
WITH past AS (
    SELECT id FROM exports
    WHERE object_key IS NULL
      AND (state = 'deleted' OR (state IN ('failed', 'canceled', 'expired') AND finished_at < now() - make_interval(days => $1)))
    LIMIT $2
), pruned AS (
    DELETE FROM exports USING past WHERE exports.id = past.id RETURNING 1
)
SELECT count(*) FROM pruned

-- name: delete_exports_with
-- Takes the tenant and conversations; deletes every export that can hold something of them, the unfinished ones too; gives their
-- ids. What a search found is not known any more, so all exports of searches without a conversation and of everything go. A lease
-- stays, as in `cancel_export`.
UPDATE exports SET state = 'deleted', finished_at = coalesce(finished_at, now())
WHERE tenant_id = $1 AND state <> 'deleted'
  AND coalesce(scope->>'conversation_id', scope->'search'->>'conversation_id', ($2::text[])[1]) = ANY($2::text[])
RETURNING id
