-- name: insert_import
-- Takes id, tenant, columns as JSON, header, delimiter and region; its records are on their way.
INSERT INTO contact_imports (id, tenant_id, state, columns, header, delimiter, region) VALUES ($1, $2, 'receiving', $3, $4, $5, $6)

-- name: insert_chunk
-- Takes import, number and records; says that they still come.
WITH chunk AS (INSERT INTO contact_import_chunks (import_id, number, records) VALUES ($2, $3, $4))
UPDATE contact_imports SET updated_at = now() WHERE tenant_id = $1 AND id = $2

-- name: start_import
-- Takes tenant, id and the number of rows; returns the import, whose records are all there now.
UPDATE contact_imports SET state = 'waiting', rows = $3, updated_at = now()
WHERE tenant_id = $1 AND id = $2 AND state = 'receiving'
RETURNING *

-- name: discard_import
-- Takes tenant and id; forgets an import that has not begun.
WITH import AS (DELETE FROM contact_imports WHERE tenant_id = $1 AND id = $2 AND state = 'receiving' RETURNING id)
DELETE FROM contact_import_chunks WHERE import_id IN (SELECT id FROM import)

-- name: lock_open_import
-- Takes nothing; locks and returns the import that was served least lately, of those that nobody else works on.
SELECT * FROM contact_imports WHERE state IN ('waiting', 'processing') ORDER BY updated_at, id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: take_chunk
-- Takes an import that is locked, and a chunk's number or NULL for the first; deletes the chunk and returns it.
DELETE FROM contact_import_chunks
WHERE import_id = $1 AND number = coalesce($2::integer, (SELECT min(number) FROM contact_import_chunks WHERE import_id = $1))
RETURNING number, records

-- name: count_import
-- Takes tenant, id and how many rows were created, updated, left unchanged and rejected; counts them.
UPDATE contact_imports
SET state = 'processing', processed = processed + $3 + $4 + $5 + $6, created = created + $3, updated = updated + $4,
    unchanged = unchanged + $5, rejected = rejected + $6, updated_at = clock_timestamp()
WHERE tenant_id = $1 AND id = $2

-- name: end_import
-- Takes tenant, id and the state that it ends in, of an import that is locked.
UPDATE contact_imports SET state = $3, updated_at = now(), finished_at = now() WHERE tenant_id = $1 AND id = $2

-- name: delete_chunks
-- Takes an import; forgets what is left of its records.
DELETE FROM contact_import_chunks WHERE import_id = $1

-- name: lock_import
-- Takes tenant and id; locks and returns the import.
SELECT * FROM contact_imports WHERE tenant_id = $1 AND id = $2 AND state <> 'receiving' FOR UPDATE

-- name: select_import
-- Takes tenant and id.
SELECT * FROM contact_imports WHERE tenant_id = $1 AND id = $2 AND state <> 'receiving'

-- name: select_imports
-- Takes tenant, id to start before and limit; returns a page, newest first.
SELECT * FROM contact_imports WHERE tenant_id = $1 AND id < $2 AND state <> 'receiving' ORDER BY id DESC LIMIT $3

-- name: select_import_errors
-- Takes import, the key (line, position) to start after, and limit; returns a page in the order of lines.
SELECT line, position, field, code, detail FROM contact_import_errors
WHERE import_id = $1 AND (line, position) > ($2::integer, $3::smallint) ORDER BY line, position LIMIT $4

-- name: discard_abandoned
-- Takes an age and a limit; forgets imports whose records have stopped coming so long ago.
WITH import AS (
    DELETE FROM contact_imports WHERE (tenant_id, id) IN (
        SELECT tenant_id, id FROM contact_imports WHERE state = 'receiving' AND updated_at < now() - $1::interval LIMIT $2
    )
    RETURNING id
)
DELETE FROM contact_import_chunks WHERE import_id IN (SELECT id FROM import)

-- name: prune_import_errors
-- Takes an age and a limit; forgets the errors of imports that ended longer ago.
DELETE FROM contact_import_errors WHERE ctid = ANY (ARRAY(
    SELECT e.ctid FROM contact_import_errors AS e JOIN contact_imports AS i ON i.id = e.import_id
    WHERE i.finished_at < now() - $1::interval LIMIT $2
))

-- name: prune_imports
-- Takes an age and a limit; forgets imports that ended longer ago, once their errors are forgotten.
DELETE FROM contact_imports WHERE ctid = ANY (ARRAY(
    SELECT i.ctid FROM contact_imports AS i
    WHERE i.finished_at < now() - $1::interval AND NOT EXISTS (SELECT FROM contact_import_errors WHERE import_id = i.id) LIMIT $2
))
