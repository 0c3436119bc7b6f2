-- name: insert_outbox
-- Takes subjects, bodies and counts as arrays; returns the new ids in that order.
INSERT INTO outbox (subject, body, events)
SELECT * FROM unnest($1::text[], $2::bytea[], $3::integer[])
RETURNING id

-- name: lease_outbox
-- Takes a limit; leases the oldest rows whose lease has run out, skipping those another replica is leasing; returns them.
UPDATE outbox SET leased_until = now() + interval '15 seconds'
WHERE id IN (SELECT id FROM outbox WHERE leased_until < now() ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, subject, body, events

-- name: delete_outbox
-- Takes ids; deletes the rows that the bus has custody of.
DELETE FROM outbox WHERE id = ANY($1::bigint[])

-- name: end_leases
-- Ends every lease; for a process that knows itself to be the only one.
UPDATE outbox SET leased_until = '-infinity' WHERE leased_until > now()

-- name: insert_inbox
-- Takes a subscription and event ids; returns the ids that were not there before.
INSERT INTO inbox (subscription, event_id)
SELECT $1, e FROM unnest($2::text[]) AS e ORDER BY e
ON CONFLICT DO NOTHING
RETURNING event_id

-- name: prune_inbox
-- Takes a number of days; deletes what was seen longer ago.
DELETE FROM inbox WHERE seen_at < now() - make_interval(days => $1)
