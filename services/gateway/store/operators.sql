-- name: insert_admin_key
-- Takes id, name and digest; returns the id, or nothing where the key is there already, which stays.
INSERT INTO admin_keys (key_id, name, digest) VALUES ($1, $2, $3) ON CONFLICT (key_id) DO NOTHING RETURNING key_id

-- name: select_admin_key
-- Takes a key id; returns its name and digest unless it was revoked.
SELECT name, digest FROM admin_keys WHERE key_id = $1 AND revoked_at IS NULL

-- name: select_admin_keys
-- Returns every key there ever was, oldest first, without digests.
SELECT key_id, name, created_at, revoked_at FROM admin_keys ORDER BY created_at, key_id

-- name: revoke_admin_key
-- Takes a key id; from now on it opens nothing. Returns its name where it was in use.
UPDATE admin_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL RETURNING name

-- name: insert_admin_action
-- Takes key id, operator, action, subject, facts as JSON and request id.
INSERT INTO admin_audit (key_id, operator, action, subject, facts, request_id) VALUES ($1, $2, $3, $4, $5::jsonb, $6)

-- name: select_admin_actions
-- Takes id to start before and limit; returns what operators did, newest first.
SELECT id, at, key_id, operator, action, subject, facts, request_id FROM admin_audit WHERE id < $1 ORDER BY id DESC LIMIT $2

-- name: lock_letters
-- Waits until nobody else looks at dead letters; the session has the lock until it gives it back, or ends.
SELECT pg_advisory_lock(7163384)

-- name: unlock_letters
-- Gives it back.
SELECT pg_advisory_unlock(7163384)

-- name: select_any_number
-- Takes a number's id; returns the tenant whose it is.
SELECT tenant_id FROM numbers WHERE id = $1

-- name: select_all_numbers
-- Takes whether to start after those that are paused, the id to start after and a limit; returns numbers of all tenants, the paused
-- ones first.
SELECT id, tenant_id, provider, display_number, status, paused_code, paused_detail, paused_at, messages_per_second, profile, created_at
FROM numbers WHERE (paused_code IS NULL, id) > ($1::boolean, $2::text) ORDER BY (paused_code IS NULL), id LIMIT $3
