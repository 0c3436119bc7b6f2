-- name: upsert_media
-- Takes tenants, ids, keys, types, sizes, digests and names, all of one length; what is known already stays.
INSERT INTO media (tenant_id, media_id, object_key, mime_type, size_bytes, sha256, file_name)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
ON CONFLICT DO NOTHING

-- name: find_uploads
-- Takes tenants, numbers and ids of files, all of one length, and how long a refusal counts; returns in their order what is known of
-- each and of its upload. That another file of the same bytes was deleted says nothing of this one.
SELECT m.sha256, m.mime_type, m.size_bytes, u.state, u.is_held, u.handle, u.settled_at, u.expires_at, u.code, u.detail,
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
-- unless it is there, was just refused, or is wanted already.
INSERT INTO media_uploads AS u (number_id, sha256, mime_type, tenant_id, media_id)
SELECT DISTINCT ON (number_id, sha256, mime_type) * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
    AS w (number_id, sha256, mime_type, tenant_id, media_id)
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
        WHERE u.state = 'wanted' AND u.number_id = t.number_id AND u.due_at <= now()
        ORDER BY u.due_at LIMIT 1 FOR UPDATE SKIP LOCKED
    ) AS d LIMIT 1
)
UPDATE media_uploads AS u SET due_at = now() + $2::interval + m.size_bytes / $3::float8 * interval '1 second', is_held = true,
    tries = tries + 1
FROM due, media AS m
WHERE u.number_id = due.number_id AND u.sha256 = due.sha256 AND u.mime_type = due.mime_type AND m.tenant_id = u.tenant_id
  AND m.media_id = u.media_id
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
