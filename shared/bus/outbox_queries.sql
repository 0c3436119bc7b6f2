-- name: insert_outbox
-- Takes subjects, bodies and counts as arrays; returns the new ids in that order.
INSERT INTO outbox (subject, body, events)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::integer[])
RETURNING id

-- name: lease_outbox
-- Takes a limit; leases the rows whose lease ran out first, skipping those another replica is leasing; returns them.
UPDATE outbox SET leased_until = now() + interval '15 seconds'
WHERE id = ANY (ARRAY(
    SELECT id FROM outbox WHERE leased_until < now() ORDER BY leased_until, id LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING id, subject, body, events

-- name: delete_outbox
-- Takes ids; deletes the rows that the bus has custody of.
DELETE FROM outbox WHERE id = ANY($1::bigint[])

-- name: end_leases
-- Ends every lease; for a process that knows itself to be the only one.
UPDATE outbox SET leased_until = '-infinity' WHERE leased_until > now()

-- name: measure_outbox
-- How many rows there are, counted to 10,000, and how old the oldest is by its id, in seconds; 0 where there is none.
SELECT (SELECT count(*) FROM (SELECT FROM outbox LIMIT 10000) AS counted) AS rows,
    coalesce((SELECT greatest(0, extract(epoch FROM now() - created_at)) FROM outbox ORDER BY id LIMIT 1), 0)::float AS oldest_seconds

-- name: insert_inbox
-- Takes a subscription and event ids; returns the ids that were not there before.
INSERT INTO inbox (subscription, event_id)
SELECT $1, e FROM unnest($2::text[]) AS e ORDER BY e
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: prune_inbox
-- Takes a number of days and a limit; deletes so many of those seen longer ago, the oldest first.
DELETE FROM inbox WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM inbox WHERE seen_at < now() - make_interval(days => $1) ORDER BY seen_at LIMIT $2
))
