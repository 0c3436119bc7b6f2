-- name: insert_deliveries
-- Takes ids, callbacks, updates, types, numbers, times and bodies as arrays; one that is there already is left alone.
INSERT INTO callback_deliveries (id, callback_id, update_id, type, number_id, occurred_at, body)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::bytea[])
ON CONFLICT (callback_id, update_id) DO NOTHING

-- name: insert_tried_delivery
-- Takes an id, callback, update, type, body, state, code and try: one that is made once.
INSERT INTO callback_deliveries (id, callback_id, update_id, type, occurred_at, body, state, code, tries, failures, ended_at)
VALUES ($1, $2, $3, $4, now(), $5, $6, $7, jsonb_build_array($8::jsonb), CASE WHEN $6 = 'failed' THEN 1 ELSE 0 END, now())

-- name: claim_deliveries
-- Takes callbacks and how many of each, as arrays, and seconds; leases what is due for so long, skipping what others lock, and
-- returns it.
WITH due AS MATERIALIZED (
    SELECT found.id
    FROM unnest($1::text[], $2::integer[]) AS t (callback_id, room) CROSS JOIN LATERAL (
        SELECT id FROM callback_deliveries
        WHERE callback_id = t.callback_id AND state = 'waiting' AND due_at <= now()
        ORDER BY due_at LIMIT t.room FOR UPDATE SKIP LOCKED
    ) AS found
)
UPDATE callback_deliveries AS d
SET due_at = now() + make_interval(secs => $3), claim = d.claim + 1, is_claimed = true
FROM due WHERE d.id = due.id
RETURNING d.id, d.callback_id, d.update_id, d.claim, d.failures, d.body

-- name: claim_named_deliveries
-- As claim_deliveries, of those with these ids, as an array.
WITH due AS MATERIALIZED (
    SELECT id FROM callback_deliveries
    WHERE id = ANY ($1::text[]) AND state = 'waiting' AND due_at <= now() ORDER BY id FOR UPDATE SKIP LOCKED
)
UPDATE callback_deliveries AS d
SET due_at = now() + make_interval(secs => $2), claim = d.claim + 1, is_claimed = true
FROM due WHERE d.id = due.id
RETURNING d.id, d.callback_id, d.update_id, d.claim, d.failures, d.body

-- name: record_deliveries
-- Takes ids, claims, states, seconds until they come again, failures, codes and tries as arrays; writes what became of those that
-- nobody has claimed since.
UPDATE callback_deliveries AS d
SET state = t.state, due_at = now() + make_interval(secs => t.wait), is_claimed = false, failures = t.failures, code = t.code,
    tries = CASE WHEN jsonb_array_length(d.tries) >= 30 THEN d.tries - 0 ELSE d.tries END || t.try,
    ended_at = CASE WHEN t.state <> 'waiting' THEN now() END
FROM unnest($1::text[], $2::integer[], $3::text[], $4::float8[], $5::integer[], $6::text[], $7::jsonb[])
    AS t (id, claim, state, wait, failures, code, try)
WHERE d.id = t.id AND d.claim = t.claim AND d.is_claimed AND d.state = 'waiting'

-- name: select_deliveries
-- Takes a callback, the time and id to start before, since and until when it was told, a state and a type, each or null, and a limit;
-- the latest first.
SELECT id, update_id, type, number_id, occurred_at, state, code, failures, due_at, created_at, ended_at, tries -> -1 AS last
FROM callback_deliveries
WHERE callback_id = $1 AND (created_at, id) < ($2, $3) AND ($4::timestamptz IS NULL OR created_at >= $4)
    AND ($5::timestamptz IS NULL OR created_at < $5) AND ($6::text IS NULL OR state = $6) AND ($7::text IS NULL OR type = $7)
ORDER BY created_at DESC, id DESC LIMIT $8

-- name: select_failed_deliveries
-- As select_deliveries, of those that have failed; the state is not looked at.
SELECT id, update_id, type, number_id, occurred_at, state, code, failures, due_at, created_at, ended_at, tries -> -1 AS last
FROM callback_deliveries
WHERE callback_id = $1 AND (created_at, id) < ($2, $3) AND ($4::timestamptz IS NULL OR created_at >= $4)
    AND ($5::timestamptz IS NULL OR created_at < $5) AND ($6::text IS NULL OR true) AND ($7::text IS NULL OR type = $7)
    AND state = 'failed'
ORDER BY created_at DESC, id DESC LIMIT $8

-- name: select_delivery
-- Takes a callback and an id.
SELECT *, tries -> -1 AS last FROM callback_deliveries WHERE callback_id = $1 AND id = $2

-- name: replay_deliveries
-- Takes a callback, the time and id to start after, until when it was told, states, types or null, and a limit; puts those that have
-- ended so back to wait as at first, and returns when each was told and its id. Types are patterns as LIKE takes them.
UPDATE callback_deliveries
SET state = 'waiting', due_at = now(), claim = claim + 1, failures = 0, code = NULL, ended_at = NULL
WHERE id = ANY (ARRAY(
    SELECT id FROM callback_deliveries
    WHERE callback_id = $1 AND (created_at, id) > ($2, $3) AND created_at < $4 AND state = ANY ($5::text[])
        AND ($6::text[] IS NULL OR type LIKE ANY ($6))
    ORDER BY created_at, id LIMIT $7 FOR UPDATE
))
RETURNING created_at, id

-- name: retry_delivery
-- Takes a callback and an id; lets it come at once, unless it is just being posted.
UPDATE callback_deliveries
SET state = 'waiting', due_at = now(), claim = claim + 1, is_claimed = false, code = NULL, ended_at = NULL,
    failures = CASE WHEN state = 'waiting' THEN failures ELSE 0 END
WHERE callback_id = $1 AND id = $2 AND (NOT is_claimed OR due_at <= now())
RETURNING id

-- name: fail_waiting
-- Takes a callback, a code and a limit; ends what waits for it.
UPDATE callback_deliveries SET state = 'failed', code = $2, ended_at = now(), is_claimed = false
WHERE id = ANY (ARRAY(
    SELECT id FROM callback_deliveries WHERE callback_id = $1 AND state = 'waiting' LIMIT $3 FOR UPDATE SKIP LOCKED
))

-- name: delete_deliveries
-- Takes a callback and a limit.
DELETE FROM callback_deliveries WHERE id = ANY (ARRAY(
    SELECT id FROM callback_deliveries WHERE callback_id = $1 LIMIT $2 FOR UPDATE SKIP LOCKED
))

-- name: prune_deliveries
-- Takes a state, days and a limit; forgets those that ended so longer ago.
DELETE FROM callback_deliveries WHERE id = ANY (ARRAY(
    SELECT id FROM callback_deliveries WHERE state = $1 AND ended_at < now() - make_interval(days => $2) LIMIT $3
))
