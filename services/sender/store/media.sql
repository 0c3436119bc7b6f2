-- name: upsert_media
-- Takes tenants, ids, keys, types, sizes, digests and names, all of one length; what is known already stays, that it was deleted too.
INSERT INTO media (tenant_id, media_id, object_key, mime_type, size_bytes, sha256, file_name)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
ON CONFLICT DO NOTHING

-- name: begin_deletion
-- Takes tenants and ids of files, of one length; those that were never told of are known as deleted. Waits for whoever is just being
-- told of one.
INSERT INTO media (tenant_id, media_id, deleted_at)
SELECT DISTINCT tenant_id, media_id, now() FROM unnest($1::text[], $2::text[]) AS d (tenant_id, media_id) ORDER BY 1, 2
ON CONFLICT DO NOTHING

-- name: lock_media_of_bytes
-- Takes tenants and ids of files, of one length; returns and locks all of these tenants' files that have the bytes of one of them.
SELECT m.tenant_id, m.media_id, m.sha256, m.mime_type FROM media AS m
WHERE m.deleted_at IS NULL AND (m.tenant_id, m.sha256) IN (
    SELECT own.tenant_id, own.sha256 FROM media AS own
    JOIN unnest($1::text[], $2::text[]) AS d (tenant_id, media_id) USING (tenant_id, media_id)
    WHERE own.deleted_at IS NULL
)
ORDER BY m.tenant_id, m.media_id FOR UPDATE

-- name: delete_media
-- Takes tenants and ids of locked files, of one length; only that they were deleted is known of them from now on.
UPDATE media AS m
SET deleted_at = now(), object_key = NULL, mime_type = NULL, size_bytes = NULL, sha256 = NULL, file_name = NULL
FROM unnest($1::text[], $2::text[]) AS d (tenant_id, media_id)
WHERE m.tenant_id = d.tenant_id AND m.media_id = d.media_id AND m.deleted_at IS NULL

-- name: pass_uploads_on
-- Takes tenants, digests, types and ids of files, all of one length; the uploads of these bytes are those files' from now on. A refusal
-- stays what it was: it may be that of the file.
UPDATE media_uploads AS u SET media_id = k.media_id
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS k (tenant_id, sha256, mime_type, media_id)
WHERE u.tenant_id = k.tenant_id AND u.sha256 = k.sha256 AND u.mime_type = k.mime_type AND u.state <> 'refused'

-- name: drop_uploads
-- Takes tenants, digests and types, all of one length, and an interval; the uploads of these bytes are forgotten, and what the provider
-- has of them is to be removed after so long.
WITH dropped AS (
    DELETE FROM media_uploads AS u USING unnest($1::text[], $2::text[], $3::text[]) AS g (tenant_id, sha256, mime_type)
    WHERE u.tenant_id = g.tenant_id AND u.sha256 = g.sha256 AND u.mime_type = g.mime_type
    RETURNING u.number_id, u.handle, u.expires_at
)
INSERT INTO media_removals (number_id, handle, due_at) SELECT number_id, handle, now() + $4::interval FROM dropped
WHERE handle IS NOT NULL AND expires_at > now()
ON CONFLICT DO NOTHING

-- name: want_removal
-- Takes number, digest, type, handle and an interval; what came up for nobody is to be removed after so long.
INSERT INTO media_removals (number_id, handle, due_at)
SELECT $1, $4, now() + $5::interval
WHERE NOT EXISTS (SELECT FROM media_uploads WHERE number_id = $1 AND sha256 = $2 AND mime_type = $3)
ON CONFLICT DO NOTHING

-- name: claim_removal
-- Takes an interval; returns a copy at the provider that is due to be removed, nobody else's for so long, and whether it is in use:
-- the provider may give equal bytes the id that they had.
UPDATE media_removals AS r SET due_at = now() + $1::interval, tries = tries + 1
WHERE (number_id, handle) = (
    SELECT number_id, handle FROM media_removals WHERE due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING number_id, handle, tries,
    EXISTS (SELECT FROM media_uploads AS u WHERE u.number_id = r.number_id AND u.handle = r.handle) AS is_in_use

-- name: put_off_removal
-- Takes number, handle, try and an interval; it is due again after so long.
UPDATE media_removals SET due_at = now() + $4::interval WHERE number_id = $1 AND handle = $2 AND tries = $3

-- name: end_removal
-- Takes number, handle and try; nothing more is done about it.
DELETE FROM media_removals WHERE number_id = $1 AND handle = $2 AND tries = $3

-- name: find_uploads
-- Takes tenants, numbers and ids of files, all of one length, and how long a refusal counts; returns in their order what is known of
-- each and of its upload. That another file of the same bytes was deleted says nothing of this one.
SELECT m.sha256, m.mime_type, m.size_bytes, m.deleted_at, u.state, u.is_held, u.handle, u.settled_at, u.expires_at, u.code, u.detail,
       greatest(0, extract(epoch FROM u.due_at - now()))::float8 AS due_seconds,
       (u.state = 'uploaded' AND u.expires_at > now())
         OR (u.state = 'refused' AND u.settled_at > now() - $4::interval AND (u.code <> 'media.deleted' OR u.media_id = m.media_id))
         AS is_settled
FROM unnest($1::text[], $2::text[], $3::text[]) WITH ORDINALITY AS q (tenant_id, number_id, media_id, place)
LEFT JOIN media AS m ON m.tenant_id = q.tenant_id AND m.media_id = q.media_id
LEFT JOIN media_uploads AS u ON u.number_id = q.number_id AND u.sha256 = m.sha256 AND u.mime_type = m.mime_type
ORDER BY q.place

-- name: want_uploads
-- Takes numbers, digests, types, tenants and ids of files, all of one length, and how long a refusal counts; each is to be uploaded
-- unless it is there, was just refused, is wanted already, or its file is just being deleted.
WITH present AS MATERIALIZED (
    SELECT w.* FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
        AS w (number_id, sha256, mime_type, tenant_id, media_id)
    JOIN media AS m ON m.tenant_id = w.tenant_id AND m.media_id = w.media_id AND m.deleted_at IS NULL
    ORDER BY w.tenant_id, w.media_id FOR SHARE OF m
)
INSERT INTO media_uploads AS u (number_id, sha256, mime_type, tenant_id, media_id)
SELECT DISTINCT ON (number_id, sha256, mime_type) * FROM present
ORDER BY number_id, sha256, mime_type, media_id DESC
ON CONFLICT (number_id, sha256, mime_type) DO UPDATE
SET state = 'wanted', is_held = false, tries = u.tries + 1, faults = 0, due_at = now(), wanted_at = now(), handle = NULL,
    expires_at = NULL, tenant_id = excluded.tenant_id, media_id = excluded.media_id
WHERE (u.state = 'uploaded' AND u.expires_at <= now())
   OR (u.state = 'refused' AND (u.settled_at <= now() - $6::interval OR (u.code = 'media.deleted' AND u.media_id <> excluded.media_id)))

-- name: claim_upload
-- Takes how many of a number may be in hand, an interval, and bytes per second; returns an upload that is due with its file, nobody
-- else's for that interval and as long as so many bytes take. Of the numbers that have one due it is the turn of who has the fewest in
-- hand, so that none waits behind another's thousands.
WITH RECURSIVE numbers AS (
    (SELECT number_id FROM media_uploads WHERE state = 'wanted' ORDER BY number_id LIMIT 1)
    UNION ALL
    SELECT (SELECT u.number_id FROM media_uploads AS u WHERE u.state = 'wanted' AND u.number_id > n.number_id ORDER BY u.number_id LIMIT 1)
    FROM numbers AS n WHERE n.number_id IS NOT NULL
), turns AS MATERIALIZED (
    SELECT n.number_id FROM numbers AS n
    CROSS JOIN LATERAL (
        SELECT min(u.due_at) AS due_at FROM media_uploads AS u
        WHERE u.state = 'wanted' AND u.number_id = n.number_id AND u.due_at <= now()
    ) AS first
    CROSS JOIN LATERAL (
        SELECT count(*) AS uploads FROM media_uploads AS u WHERE u.is_held AND u.number_id = n.number_id AND u.due_at > now()
    ) AS held
    WHERE first.due_at IS NOT NULL AND held.uploads < $1
    ORDER BY held.uploads, first.due_at
), due AS MATERIALIZED (
    SELECT d.* FROM turns AS t CROSS JOIN LATERAL (
        SELECT u.number_id, u.sha256, u.mime_type FROM media_uploads AS u
        JOIN media AS m ON m.tenant_id = u.tenant_id AND m.media_id = u.media_id AND m.deleted_at IS NULL
        WHERE u.state = 'wanted' AND u.number_id = t.number_id AND u.due_at <= now()
        ORDER BY u.due_at LIMIT 1 FOR UPDATE OF u SKIP LOCKED
    ) AS d LIMIT 1
)
UPDATE media_uploads AS u SET due_at = now() + $2::interval + m.size_bytes / $3::float8 * interval '1 second', is_held = true,
    tries = tries + 1
FROM due, media AS m
WHERE u.number_id = due.number_id AND u.sha256 = due.sha256 AND u.mime_type = due.mime_type AND m.tenant_id = u.tenant_id
  AND m.media_id = u.media_id AND m.deleted_at IS NULL
RETURNING u.number_id, u.sha256, u.tries, u.faults, m.object_key, m.mime_type, m.size_bytes, m.file_name

-- name: settle_upload
-- Takes number, digest, type, try, state, handle, the interval for which it is good, code and detail; the upload has ended, if that try
-- is still the one that counts.
UPDATE media_uploads
SET state = $5, is_held = false, handle = $6, expires_at = now() + $7::interval, code = $8, detail = $9, settled_at = now()
WHERE number_id = $1 AND sha256 = $2 AND mime_type = $3 AND tries = $4 AND state = 'wanted'

-- name: put_off_upload
-- Takes number, digest, type, try, an interval, and whether the try counts; it is due again after so long.
UPDATE media_uploads SET is_held = false, due_at = now() + $5::interval, faults = faults + CASE WHEN $6 THEN 1 ELSE 0 END
WHERE number_id = $1 AND sha256 = $2 AND mime_type = $3 AND tries = $4 AND state = 'wanted'

-- name: forget_uploads
-- Takes a number and handles that the provider does not know any more; these files are to be uploaded again.
UPDATE media_uploads
SET state = 'wanted', is_held = false, tries = tries + 1, faults = 0, due_at = now(), wanted_at = now(), handle = NULL, expires_at = NULL
WHERE number_id = $1 AND handle = ANY ($2::text[]) AND state = 'uploaded'

-- name: prune_uploads
-- Takes a limit and an interval; forgets uploads that have expired, and those that nobody has asked for anew for so long: who still
-- waits asks again.
DELETE FROM media_uploads WHERE (number_id, sha256, mime_type) IN (
    (SELECT number_id, sha256, mime_type FROM media_uploads WHERE state = 'uploaded' AND expires_at < now() LIMIT $1)
    UNION ALL
    (SELECT number_id, sha256, mime_type FROM media_uploads
     WHERE state <> 'uploaded' AND wanted_at < now() - $2::interval AND NOT (is_held AND due_at > now()) LIMIT $1)
)

-- name: prune_deleted
-- Takes a limit and an interval; forgets files that were deleted so long ago.
DELETE FROM media WHERE (tenant_id, media_id) IN (
    SELECT tenant_id, media_id FROM media WHERE deleted_at < now() - $2::interval LIMIT $1
)
