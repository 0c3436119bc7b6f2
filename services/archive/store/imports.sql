-- name: insert_import
-- Takes the tenant, its number, an id, the file's name and size, and the options; gives the import, which waits for its file, unless
-- the tenant has $7 imports that are not done.
INSERT INTO imports (tenant_id, tenant_no, id, file_name, size_bytes, options, state)
SELECT $1, $2, $3, $4, $5, $6::jsonb, 'uploading'
WHERE (
    SELECT count(*) FROM imports WHERE tenant_id = $1 AND state IN ('surveying', 'importing')
) + (
    SELECT count(*) FROM imports WHERE tenant_id = $1 AND state IN ('uploading', 'ready')
) < $7
RETURNING *

-- name: find_import
-- Takes the tenant and an id; gives the import.
SELECT * FROM imports WHERE tenant_id = $1 AND id = $2

-- name: lock_import
-- Takes the tenant and an id; locks the import and gives it.
SELECT * FROM imports WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: imports_page
-- Takes the tenant, the id to go on below and a limit; gives imports, newest first.
SELECT * FROM imports WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: begin_object
-- Takes a key, the import's number and how long it may stay unnamed; keeps it in mind before anything is written under it.
INSERT INTO import_objects (object_key, import_no, remove_at) VALUES ($1, $2, now() + $3::interval)

-- name: name_part
-- Takes a key, and the place and size of what is under it; it is a part of the import's file from now on. Gives the key, nothing where
-- it comes so late that it is being removed (`due_objects`).
UPDATE import_objects SET start_offset = $2, size_bytes = $3, remove_at = NULL
WHERE object_key = $1 AND remove_at > now() + interval '5 minutes'
RETURNING object_key

-- name: receive
-- Takes an import's id, the bytes that it has now, and whether that is all; it is surveyed next where it is.
UPDATE imports
SET received_bytes = $2,
    size_bytes = CASE WHEN $3 THEN $2 ELSE size_bytes END,
    state = CASE WHEN $3 THEN 'surveying' ELSE state END,
    leased_until = now(), updated_at = now()
WHERE id = $1
RETURNING *

-- name: parts
-- Takes an import's number; gives the parts of its file, in order.
SELECT object_key, start_offset, size_bytes FROM import_objects
WHERE import_no = $1 AND start_offset IS NOT NULL AND remove_at IS NULL
ORDER BY start_offset

-- name: set_options
-- Takes an import's id, its options, and the state it has next: it is there to be claimed.
UPDATE imports
SET options = $2::jsonb, state = $3, leased_until = now(), lease_id = NULL, tries = 0, read_bytes = 0, updated_at = now()
WHERE id = $1
RETURNING *

-- name: end_leased
-- Takes an import's number, the lease's id, its last state, and what was wrong with it, if anything; gives the id, nothing where the
-- lease is lost.
UPDATE imports
SET state = $3, error_code = $4, error_detail = $5, lease_id = NULL, ended_at = now(), updated_at = now()
WHERE import_no = $1 AND lease_id = $2
RETURNING id

-- name: end_import
-- Takes an import's id, its last state, and what was wrong with it, if anything; whoever works on it has lost it.
UPDATE imports
SET state = $2, error_code = $3, error_detail = $4, lease_id = NULL, ended_at = now(), updated_at = now()
WHERE id = $1
RETURNING *

-- name: undo_import
-- Takes an import's id; its entries are taken away next.
UPDATE imports
SET state = 'undoing', undo_after = NULL, leased_until = now(), lease_id = NULL, tries = 0, ended_at = NULL, updated_at = now()
WHERE id = $1
RETURNING *

-- name: discard_import
-- Takes an import's number; forgets it. Its objects are due to be removed.
WITH due AS (
    UPDATE import_objects SET remove_at = now() WHERE import_no = $1
)
DELETE FROM imports WHERE import_no = $1

-- name: release_file
-- Takes an import's number; what was handed over is due to be removed.
UPDATE import_objects SET remove_at = now() WHERE import_no = $1 AND start_offset IS NOT NULL AND remove_at IS NULL

-- name: release_unused
-- Takes an import's number; media that belong to no entry are due to be removed. Not at once: a process that does not know yet that the
-- import has ended may still be writing one.
UPDATE import_objects SET remove_at = now() + interval '15 minutes'
WHERE import_no = $1 AND start_offset IS NULL AND remove_at IS NULL
  AND NOT EXISTS (SELECT FROM files WHERE files.object_key = import_objects.object_key)

-- name: due_objects
-- Takes a limit; gives keys of objects that nothing names, and nobody else is given them for five minutes.
UPDATE import_objects SET remove_at = now() + interval '5 minutes'
WHERE object_key IN (
    SELECT object_key FROM import_objects WHERE remove_at <= now() ORDER BY remove_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING object_key

-- name: forget_objects
-- Takes keys of objects that are no more.
DELETE FROM import_objects WHERE object_key = ANY($1::text[])

-- name: claim_import
-- Takes a lease's id and its seconds; gives an import that waits for somebody to work on it, if there is one: of the tenant on whose
-- imports the fewest work, then of the one whose turn was longest ago, the one that has waited longest.
WITH tenant AS MATERIALIZED (
    SELECT open.tenant_id, open.running,
           (SELECT max(updated_at) FROM (
               SELECT updated_at, survey IS NOT NULL OR ended_at IS NOT NULL AS had_a_turn FROM imports
               WHERE imports.tenant_id = open.tenant_id
               ORDER BY id DESC
               LIMIT 100
           ) AS newest WHERE had_a_turn) AS worked_at
    FROM (
        SELECT tenant_id, count(*) FILTER (WHERE lease_id IS NOT NULL AND leased_until > now()) AS running
        FROM imports WHERE state IN ('surveying', 'importing', 'undoing')
        GROUP BY tenant_id
    ) AS open
)
UPDATE imports
SET lease_id = $1, leased_until = now() + make_interval(secs => $2), tries = tries + 1
WHERE import_no = (
    SELECT imports.import_no FROM imports JOIN tenant USING (tenant_id)
    WHERE imports.state IN ('surveying', 'importing', 'undoing') AND imports.leased_until <= now()
    ORDER BY tenant.running, tenant.worked_at NULLS FIRST, imports.leased_until
    LIMIT 1
    FOR UPDATE OF imports SKIP LOCKED
)
RETURNING *

-- name: keep_lease
-- Takes an import's number, the lease's id and its seconds; gives the import's state, nothing where the lease is lost.
UPDATE imports SET leased_until = now() + make_interval(secs => $3)
WHERE import_no = $1 AND lease_id = $2
RETURNING state

-- name: note_read
-- Takes an import's number, the lease's id, and the bytes of the text that were read and that there are.
UPDATE imports SET read_bytes = $3, text_bytes = $4, updated_at = now() WHERE import_no = $1 AND lease_id = $2

-- name: put_off
-- Takes an import's number, the lease's id, seconds, and whether this try counts; it is tried again then.
UPDATE imports
SET lease_id = NULL, leased_until = now() + make_interval(secs => $3),
    tries = CASE WHEN $4 THEN tries ELSE greatest(tries - 1, 0) END
WHERE import_no = $1 AND lease_id = $2

-- name: surveyed
-- Takes an import's number, the lease's id, the survey, the bytes of the text and the next state; gives the id, nothing where the
-- lease is lost.
UPDATE imports
SET survey = $3::jsonb, text_bytes = $4::bigint, read_bytes = CASE WHEN $5::text = 'importing' THEN 0 ELSE $4::bigint END, state = $5::text,
    lease_id = NULL, leased_until = now(), tries = 0, updated_at = now()
WHERE import_no = $1 AND lease_id = $2 AND state = 'surveying'
RETURNING id

-- name: abandoned
-- Takes days and a limit; ends imports whose file, or whose start, never came, and gives their numbers.
UPDATE imports SET state = 'canceled', ended_at = now(), updated_at = now()
WHERE import_no IN (
    SELECT import_no FROM imports
    WHERE state IN ('uploading', 'ready') AND updated_at < now() - make_interval(days => $1)
    ORDER BY updated_at
    LIMIT $2
    FOR UPDATE SKIP LOCKED
)
RETURNING import_no

-- name: lines_page
-- Takes an import's number, the place to go on after and a limit; gives lines that were not understood, in the file's order.
SELECT place, line, reason, text FROM import_lines WHERE import_no = $1 AND place > $2 ORDER BY place LIMIT $3

-- name: file_of_conversation
-- Takes the tenant, a conversation and a file's id; gives the file, if it is of the conversation and that is the tenant's.
SELECT files.id, files.object_key, files.mime_type, files.size_bytes, files.sha256, files.file_name
FROM files
JOIN conversations ON conversations.conversation_no = files.conversation_no
WHERE files.id = $3 AND conversations.id = $2 AND conversations.tenant_id = $1
