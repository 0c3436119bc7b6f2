-- name: claim_key
-- Takes tenant, route, key and fingerprint; returns a row where the key is new. Waits for a transaction that has just claimed it.
INSERT INTO idempotency_keys (tenant_id, route, key, fingerprint) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING true

-- name: store_answer
-- Takes tenant, route, key, status and answer.
UPDATE idempotency_keys SET status = $4, answer = $5 WHERE tenant_id = $1 AND route = $2 AND key = $3

-- name: select_answer
-- Takes tenant, route and key.
SELECT fingerprint, status, answer FROM idempotency_keys WHERE tenant_id = $1 AND route = $2 AND key = $3

-- name: prune_keys
-- Takes an age and a limit; forgets idempotency keys older than that.
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - $1::interval LIMIT $2
))
