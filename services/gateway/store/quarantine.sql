-- name: select_quarantined
-- Takes tenant, id to start before and limit; returns what of the tenant's payloads is set aside, newest first, without bodies.
SELECT id, quarantined, received_at, coalesce(length, octet_length(body)) AS length
FROM webhooks WHERE tenant_id = $1 AND id < $2 AND quarantined IS NOT NULL ORDER BY id DESC LIMIT $3

-- name: select_quarantined_one
-- Takes tenant and id; returns the payload where it is set aside.
SELECT id, quarantined, received_at, coalesce(length, octet_length(body)) AS length, body
FROM webhooks WHERE tenant_id = $1 AND id = $2 AND quarantined IS NOT NULL

-- name: replay_one
-- Takes tenant and id; lets the payload be read again where it is set aside.
UPDATE webhooks SET quarantined = NULL WHERE tenant_id = $1 AND id = $2 AND quarantined IS NOT NULL

-- name: replay_oldest
-- Takes tenant, id to start after and limit; lets the oldest of what is set aside be read again and returns their ids. What is being
-- read or deleted now is left out.
UPDATE webhooks SET quarantined = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM webhooks WHERE tenant_id = $1 AND id > $2 AND quarantined IS NOT NULL ORDER BY id LIMIT $3
    FOR UPDATE SKIP LOCKED
)) RETURNING id

-- name: delete_quarantined
-- Takes tenant and id; forgets the payload where it is set aside.
DELETE FROM webhooks WHERE tenant_id = $1 AND id = $2 AND quarantined IS NOT NULL
