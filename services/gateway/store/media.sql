-- name: begin_object
-- Takes a key and an interval; the object under it is removed after so long unless a file names it.
INSERT INTO media_leftovers (object_key, due_at) VALUES ($1, now() + $2::interval)

-- name: end_object
-- Takes a key; the object is named by a file now.
DELETE FROM media_leftovers WHERE object_key = $1

-- name: keep_file
-- Takes tenant, digest, key and size; locks and returns the key under which these bytes are kept: this one, or an earlier one.
INSERT INTO media_files (tenant_id, sha256, object_key, size_bytes) VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, sha256) DO UPDATE SET size_bytes = excluded.size_bytes
RETURNING object_key

-- name: insert_media
-- Takes id, tenant, wire id, kind, type, size, digest, name, whether it moves, and of an inbound one number, wamid and provider's id;
-- returns it, nothing where the inbound one is there already.
INSERT INTO media (id, tenant_id, wire_id, kind, mime_type, size_bytes, sha256, file_name, is_animated, number_id, wamid, provider_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (tenant_id, provider_id, number_id, wamid) WHERE provider_id IS NOT NULL DO NOTHING
RETURNING *

-- name: select_known_media
-- Takes tenant and ids; returns those that there are.
SELECT m.*, f.object_key FROM media AS m JOIN media_files AS f USING (tenant_id, sha256)
WHERE m.tenant_id = $1 AND m.id = ANY ($2::text[])

-- name: select_media_of_wire
-- Takes tenant, a wire id or NULL, and the same as a text: the provider's id of an inbound file.
SELECT m.*, f.object_key FROM media AS m JOIN media_files AS f USING (tenant_id, sha256)
WHERE m.tenant_id = $1 AND m.wire_id = $2::bigint
UNION ALL
SELECT m.*, f.object_key FROM media AS m JOIN media_files AS f USING (tenant_id, sha256)
WHERE m.tenant_id = $1 AND m.provider_id = $3
LIMIT 1

-- name: select_any_media
-- Takes an id, whoever owns it; for those who show a signed address.
SELECT m.*, f.object_key FROM media AS m JOIN media_files AS f USING (tenant_id, sha256) WHERE m.id = $1

-- name: select_media_page
-- Takes tenant, id to start before, limit, and a kind, a number, a wamid or NULLs; returns a page, newest first.
SELECT m.*, f.object_key FROM media AS m JOIN media_files AS f USING (tenant_id, sha256)
WHERE m.tenant_id = $1 AND m.id < $2 AND ($4::text IS NULL OR m.kind = $4) AND ($5::text IS NULL OR m.number_id = $5)
  AND ($6::text IS NULL OR m.wamid = $6)
ORDER BY m.id DESC LIMIT $3

-- name: delete_media
-- Takes tenant and id; deletes it and returns its digest. Locks its file first, in the order of who keeps one.
WITH file AS (
    SELECT f.tenant_id, f.sha256 FROM media_files AS f JOIN media AS m USING (tenant_id, sha256)
    WHERE m.tenant_id = $1 AND m.id = $2 FOR UPDATE OF f
)
DELETE FROM media AS m USING file WHERE m.tenant_id = $1 AND m.id = $2 AND m.sha256 = file.sha256 RETURNING m.sha256

-- name: drop_unnamed_file
-- Takes tenant and a digest that is locked; where nothing names it any more it is forgotten, and its object is due to be removed.
WITH gone AS (
    DELETE FROM media_files AS f WHERE f.tenant_id = $1 AND f.sha256 = $2
      AND NOT EXISTS (SELECT FROM media AS m WHERE m.tenant_id = $1 AND m.sha256 = $2)
    RETURNING object_key
)
INSERT INTO media_leftovers (object_key, due_at) SELECT object_key, now() FROM gone

-- name: claim_leftovers
-- Takes a limit and an interval; returns keys of objects to remove, nobody else's for so long.
UPDATE media_leftovers SET due_at = now() + $2::interval WHERE object_key IN (
    SELECT object_key FROM media_leftovers WHERE due_at <= now() ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED
) RETURNING object_key

-- name: forget_leftovers
-- Takes keys whose objects are removed.
DELETE FROM media_leftovers WHERE object_key = ANY ($1::text[])

-- name: want_media
-- Takes tenants, provider's ids, numbers, wamids, phone number ids, types and names, all of one length; those that are neither wanted
-- nor there will be fetched.
INSERT INTO media_fetches (tenant_id, provider_id, number_id, wamid, phone_number_id, mime_type, file_name)
SELECT w.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS w (tenant_id, provider_id, number_id, wamid, phone_number_id, mime_type, file_name)
WHERE NOT EXISTS (
    SELECT FROM media AS m WHERE m.tenant_id = w.tenant_id AND m.provider_id = w.provider_id AND m.number_id = w.number_id
      AND m.wamid = w.wamid
)
ON CONFLICT DO NOTHING

-- name: claim_fetch
-- Takes how many of a number may be in hand, and an interval; returns a file that is due, nobody else's for so long. Of the numbers that
-- have one due it is the turn of who has the fewest in hand, so that none waits behind another's thousands.
WITH RECURSIVE numbers AS (
    (SELECT number_id FROM media_fetches ORDER BY number_id LIMIT 1)
    UNION ALL
    SELECT (SELECT f.number_id FROM media_fetches AS f WHERE f.number_id > n.number_id ORDER BY f.number_id LIMIT 1)
    FROM numbers AS n WHERE n.number_id IS NOT NULL
), turns AS MATERIALIZED (
    SELECT n.number_id FROM numbers AS n
    CROSS JOIN LATERAL (
        SELECT min(f.due_at) AS due_at FROM media_fetches AS f WHERE f.number_id = n.number_id AND f.due_at <= now()
    ) AS first
    CROSS JOIN LATERAL (
        SELECT count(*) AS fetches FROM media_fetches AS f WHERE f.is_held AND f.number_id = n.number_id AND f.due_at > now()
    ) AS held
    WHERE first.due_at IS NOT NULL AND held.fetches < $1
    ORDER BY held.fetches, first.due_at
), due AS MATERIALIZED (
    SELECT d.* FROM turns AS t CROSS JOIN LATERAL (
        SELECT f.tenant_id, f.provider_id, f.number_id, f.wamid FROM media_fetches AS f
        WHERE f.number_id = t.number_id AND f.due_at <= now() ORDER BY f.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS d LIMIT 1
)
UPDATE media_fetches AS f SET due_at = now() + $2::interval, tries = tries + 1, is_held = true FROM due
WHERE (f.tenant_id, f.provider_id, f.number_id, f.wamid) = (due.tenant_id, due.provider_id, due.number_id, due.wamid)
RETURNING f.*

-- name: hurry_fetch
-- Takes tenant, provider's id and a number of tries; who waits for its turn, and had no more tries, is before its number's others now.
-- Returns whether it is wanted at all.
WITH hurried AS (
    UPDATE media_fetches SET due_at = now() - interval '1 hour'
    WHERE tenant_id = $1 AND provider_id = $2 AND NOT is_held AND tries < $3 AND due_at > now() - interval '1 hour'
)
SELECT EXISTS (SELECT FROM media_fetches WHERE tenant_id = $1 AND provider_id = $2)

-- name: put_off_fetch
-- Takes the key, the try it is and an interval; it is due again after so long.
UPDATE media_fetches SET due_at = now() + $6::interval, is_held = false
WHERE tenant_id = $1 AND provider_id = $2 AND number_id = $3 AND wamid = $4 AND tries = $5

-- name: end_fetch
-- Takes the key and the try it is; forgets it, and returns whether that try was still the one that counts.
DELETE FROM media_fetches WHERE tenant_id = $1 AND provider_id = $2 AND number_id = $3 AND wamid = $4 AND tries = $5
RETURNING true
