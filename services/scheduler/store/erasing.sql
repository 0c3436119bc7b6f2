-- What the scheduler keeps of people, page by page: nothing here has an index for it that every message would have to pay for.

-- name: look_through_holds
-- Takes tenant, message to start after, addresses and a limit; returns how many holds were looked through, the last of them, and those
-- of the person.
SELECT count(*) AS looked_at, max(message_id) AS last, coalesce(array_agg(message_id) FILTER (WHERE fits), '{}') AS ids
FROM (
    SELECT message_id, tenant_id = $1 AND recipient = ANY ($3::text[]) AS fits
    FROM holds WHERE message_id > $2 ORDER BY message_id LIMIT $4
) AS page

-- name: take_holds
-- Takes message ids; deletes their holds, skipping locked ones and those that the sender has in hand, and returns them.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM holds
    WHERE message_id = ANY ($1::text[]) AND state <> 'released' ORDER BY message_id FOR UPDATE SKIP LOCKED
))
RETURNING message_id, tenant_id, traceparent, run_id, state

-- name: page_of_runs
-- Takes a run to start after and a limit; returns runs, whosever they are.
SELECT id, tenant_id FROM runs WHERE id > $1 ORDER BY id LIMIT $2

-- name: recipients_called
-- Takes runs and addresses; returns the recipients of these addresses.
SELECT told.run_id, r.position
FROM unnest($1::text[]) AS told (run_id) CROSS JOIN LATERAL (
    SELECT position FROM recipients WHERE recipients.run_id = told.run_id AND phone = ANY ($2::text[])
) AS r

-- name: lock_runs
-- Takes runs; locks them in order.
SELECT id FROM runs WHERE id = ANY ($1::text[]) ORDER BY id FOR UPDATE

-- name: empty_recipients
-- Takes runs and positions as arrays; of those that have ended nothing is left but how.
UPDATE recipients SET phone = 'erased:' || position, contact_id = NULL, content = NULL, detail = NULL
WHERE ctid = ANY (ARRAY(
    SELECT found.place
    FROM unnest($1::text[], $2::bigint[]) AS told (run_id, position) CROSS JOIN LATERAL (
        SELECT ctid AS place FROM recipients AS r
        WHERE r.run_id = told.run_id AND r.position = told.position AND state NOT IN ('pending', 'requested') FOR UPDATE
    ) AS found
))

-- name: page_of_campaigns
-- Takes tenant, id to start after and a limit.
SELECT id, definition FROM campaigns WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: lock_definition
-- Takes tenant and campaign; locks it.
SELECT definition FROM campaigns WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: redefine_campaign
-- Takes a locked campaign and its definition.
UPDATE campaigns SET definition = $2 WHERE id = $1

-- name: page_of_schedules_kept
-- Takes tenant, id to start after and a limit.
SELECT id, definition, spec FROM schedules WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: lock_kept_schedule
-- Takes tenant and schedule; locks it.
SELECT definition, spec, state FROM schedules WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: respell_schedule
-- Takes a locked schedule, its definition and what that means.
UPDATE schedules SET definition = $2, spec = $3 WHERE id = $1

-- name: delete_schedule
-- Takes a locked schedule that was for nobody else.
DELETE FROM schedules WHERE id = $1

-- name: page_of_askings
-- Takes tenant, run to start after and a limit; returns whom runs want found, those of other tenants without it.
SELECT id, CASE WHEN tenant_id = $1 THEN asking END AS asking FROM runs WHERE id > $2 ORDER BY id LIMIT $3

-- name: lock_asking
-- Takes a run; locks it.
SELECT asking FROM runs WHERE id = $1 FOR UPDATE

-- name: rewrite_asking
-- Takes a locked run and whom it wants found.
UPDATE runs SET asking = $2 WHERE id = $1

-- name: suppressed_addresses
-- Takes tenant and addresses; returns those of which is known whether they want to be written to.
SELECT phone FROM suppressions WHERE tenant_id = $1 AND phone = ANY ($2::text[])

-- name: hide_suppressions
-- Takes tenant and addresses; that they want nothing is kept without them. What was kept before is never narrowed.
WITH plain AS (
    DELETE FROM suppressions WHERE tenant_id = $1 AND phone = ANY ($2::text[]) RETURNING phone, scope, changed_at
)
INSERT INTO kept_suppressions AS kept (tenant_id, digest, scope, changed_at)
SELECT $1, sha256((SELECT key FROM digest_key WHERE is_only) || convert_to(phone, 'UTF8')), scope, changed_at
FROM plain WHERE scope IS NOT NULL
ON CONFLICT (tenant_id, digest) DO UPDATE
SET scope = CASE WHEN kept.scope = 'all' THEN 'all' ELSE excluded.scope END, changed_at = greatest(kept.changed_at, excluded.changed_at)

-- name: windows_of_addresses
-- Takes tenant and addresses; returns when they last wrote, by number.
SELECT own.number_id, w.phone
FROM numbers AS own CROSS JOIN LATERAL (
    SELECT phone FROM windows WHERE windows.number_id = own.number_id AND windows.phone = ANY ($2::text[])
) AS w
WHERE own.tenant_id = $1

-- name: delete_windows
-- Takes numbers and addresses as arrays.
DELETE FROM windows USING unnest($1::text[], $2::text[]) AS told (number_id, phone)
WHERE windows.number_id = told.number_id AND windows.phone = told.phone
