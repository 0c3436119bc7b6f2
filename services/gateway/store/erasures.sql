-- name: insert_erasure
-- Takes id, tenant, key, digests, contact and participant ids, sealed person, and the first service; returns it.
INSERT INTO erasures (id, tenant_id, requested_by, digests, contact_ids, participant_ids, sealed_person, state, service)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8)
RETURNING *

-- name: select_erasure
-- Takes tenant and id.
SELECT * FROM erasures WHERE tenant_id = $1 AND id = $2

-- name: select_erasures
-- Takes tenant, id to start before and limit; returns a page, newest first.
SELECT * FROM erasures WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: verify_erasure
-- Takes tenant and id of a completed one, the sealed person and the first service; it counts what there is of them. Returns it.
UPDATE erasures SET state = 'verifying', erases = false, sealed_person = $3, service = $4, place = '', remaining = '{}', due_at = now()
WHERE tenant_id = $1 AND id = $2 AND state = 'completed'
RETURNING *

-- name: claim_erasure
-- Takes a lease; the one that is due for longest, skipping those that another replica is claiming, nobody else's for so long.
UPDATE erasures SET due_at = now() + $1::interval, claim = claim + 1
WHERE (tenant_id, id) = (
    SELECT tenant_id, id FROM erasures WHERE state <> 'completed' AND due_at <= now() ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
RETURNING *

-- name: save_erasure
-- Takes tenant, id, claim, and all that a step changes, with the time until it is due again; returns whether that claim still counts.
UPDATE erasures
SET state = $4, erases = $5, clean_passes = $6, service = $7, place = $8, erased = $9, remaining = $10, passes = $11, code = $12,
    failures = $13, due_at = now() + $14::interval,
    sealed_person = CASE WHEN $4 = 'completed' THEN NULL ELSE sealed_person END,
    completed_at = CASE WHEN $4 = 'completed' THEN coalesce(completed_at, now()) ELSE completed_at END,
    verified_at = CASE WHEN $4 = 'completed' THEN now() ELSE verified_at END
WHERE tenant_id = $1 AND id = $2 AND claim = $3
RETURNING true
