-- name: page_of_answers
-- Takes tenant, the key (route, key) to start after and a limit; returns answers that were given under callers' keys.
SELECT route, key, status, answer FROM idempotency_keys
WHERE tenant_id = $1 AND (route, key) > ($2::text, $3::text) ORDER BY route, key LIMIT $4

-- name: forget_answers
-- Takes tenant, routes and keys as arrays, a status and an answer; gives those this answer from now on. Their requests stay answered:
-- a client that repeats one does not bring the person back.
UPDATE idempotency_keys AS k SET status = $4, answer = $5
FROM unnest($2::text[], $3::text[]) AS t (route, key) WHERE k.tenant_id = $1 AND k.route = t.route AND k.key = t.key

-- name: forget_keys
-- Takes tenant, routes and keys as arrays; those whose key itself names the person.
DELETE FROM idempotency_keys AS k
USING unnest($2::text[], $3::text[]) AS t (route, key) WHERE k.tenant_id = $1 AND k.route = t.route AND k.key = t.key

-- name: page_of_outbox
-- Takes an id to start after and a limit; returns what is on its way to the bus.
SELECT id, body FROM outbox WHERE id > $1 ORDER BY id LIMIT $2
