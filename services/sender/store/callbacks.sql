-- name: lock_callback_tenant
-- Takes a tenant; locks its row, which is made where there is none, and returns what was last told of it.
INSERT INTO callback_tenants (tenant_id) VALUES ($1)
ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = excluded.tenant_id
RETURNING revision, is_watched

-- name: settle_callback_tenant
-- Takes a locked tenant; writes down whether it has a callback that is on, and returns that where it has changed.
UPDATE callback_tenants AS t SET revision = t.revision + 1, is_watched = NOT t.is_watched
WHERE t.tenant_id = $1
    AND t.is_watched <> EXISTS (SELECT FROM callbacks AS c WHERE c.tenant_id = $1 AND c.state = 'enabled')
RETURNING t.revision, t.is_watched

-- name: count_callbacks
-- Takes a tenant; those that are not deleted.
SELECT count(*) FROM callbacks WHERE tenant_id = $1 AND state <> 'deleted'

-- name: foreign_numbers
-- Takes a tenant and numbers; returns those that are not known to be the tenant's.
SELECT wanted.number_id FROM unnest($2::text[]) AS wanted (number_id)
WHERE NOT EXISTS (SELECT FROM numbers WHERE numbers.number_id = wanted.number_id AND numbers.tenant_id = $1)

-- name: insert_callback
-- Takes all that a new callback has.
INSERT INTO callbacks (id, tenant_id, name, url, format, events, number_ids, sealed_secret, sealed_verify_token, state, reason,
                       disabled_at, created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $13)

-- name: select_callback
-- Takes a tenant and an id.
SELECT * FROM callbacks WHERE tenant_id = $1 AND id = $2 AND state <> 'deleted'

-- name: lock_callback
-- As select_callback; locks the row.
SELECT * FROM callbacks WHERE tenant_id = $1 AND id = $2 AND state <> 'deleted' FOR UPDATE

-- name: select_callbacks
-- Takes a tenant, an id to start before and a limit; the latest first.
SELECT * FROM callbacks WHERE tenant_id = $1 AND id < $2 AND state <> 'deleted' ORDER BY id DESC LIMIT $3

-- name: change_callback
-- Takes an id, its name, URL, events, numbers, verify token, state and reason, and the time. Where it is turned on again or goes
-- elsewhere, nothing is held against it any more.
UPDATE callbacks
SET name = $2, url = $3, events = $4, number_ids = $5, sealed_verify_token = $6, state = $7, reason = $8, updated_at = $9,
    revision = revision + 1,
    disabled_at = CASE WHEN $7 = 'enabled' THEN NULL WHEN state = 'enabled' THEN $9 ELSE disabled_at END,
    failing_since = CASE WHEN url = $3 AND state = $7 THEN failing_since END,
    rests_until = CASE WHEN url = $3 AND state = $7 THEN rests_until END
WHERE id = $1

-- name: rotate_callback_secret
-- Takes an id, the new sealed secret, for how many seconds the former one stays valid, and the time.
UPDATE callbacks
SET sealed_previous_secret = CASE WHEN $3 > 0 THEN sealed_secret END,
    previous_until = CASE WHEN $3 > 0 THEN $4::timestamptz + make_interval(secs => $3) END,
    sealed_secret = $2, revision = revision + 1, updated_at = $4
WHERE id = $1

-- name: delete_callback
-- Takes a tenant, an id and the time; forgets what is secret at once.
UPDATE callbacks
SET state = 'deleted', sealed_secret = '', sealed_previous_secret = NULL, sealed_verify_token = NULL, revision = revision + 1,
    updated_at = $3
WHERE tenant_id = $1 AND id = $2 AND state <> 'deleted'
RETURNING id

-- name: enabled_callbacks
-- Takes tenants; returns what says which updates their callbacks are told.
SELECT id, tenant_id, format, events, number_ids FROM callbacks
WHERE tenant_id = ANY ($1::text[]) AND state = 'enabled'

-- name: waiting_callbacks
-- Takes callbacks to leave out, a limit, and callbacks to look at, or null for all; returns those that are on, do not rest, and have
-- something due: of the sound the longest waiting first, then of the failing those first whose last failure is the longest ago, of
-- each kind up to the limit. So the failing, whose deliveries are the oldest, stand in nobody's way, and each has its turn. Steps from
-- callback to callback through the index: what waits for one is not read.
WITH RECURSIVE stepped AS (
    (SELECT callback_id, due_at FROM callback_deliveries WHERE state = 'waiting' AND $3::text[] IS NULL
     ORDER BY callback_id, due_at LIMIT 1)
    UNION ALL
    SELECT following.callback_id, following.due_at
    FROM stepped CROSS JOIN LATERAL (
        SELECT callback_id, due_at FROM callback_deliveries
        WHERE state = 'waiting' AND callback_id > stepped.callback_id
        ORDER BY callback_id, due_at LIMIT 1
    ) AS following
), first AS (
    SELECT * FROM stepped
    UNION ALL
    SELECT named.callback_id, earliest.due_at
    FROM unnest($3::text[]) AS named (callback_id) CROSS JOIN LATERAL (
        SELECT due_at FROM callback_deliveries
        WHERE state = 'waiting' AND callback_id = named.callback_id ORDER BY due_at LIMIT 1
    ) AS earliest
), due AS MATERIALIZED (
    SELECT c.id, c.tenant_id, c.revision, c.url, c.format, c.sealed_secret, c.sealed_previous_secret, c.previous_until,
        c.failing_since IS NOT NULL AS is_failing, c.failed_at, first.due_at
    FROM first JOIN callbacks AS c ON c.id = first.callback_id
    WHERE first.due_at <= now() AND c.state = 'enabled' AND (c.rests_until IS NULL OR c.rests_until <= now())
        AND NOT c.id = ANY ($1::text[])
)
(SELECT * FROM due WHERE NOT is_failing ORDER BY due_at LIMIT $2)
UNION ALL
(SELECT * FROM due WHERE is_failing ORDER BY failed_at LIMIT $2)

-- name: callbacks_named
-- Takes ids; returns those that are on, with what posting to them needs.
SELECT id, tenant_id, revision, url, format, sealed_secret, sealed_previous_secret, previous_until FROM callbacks
WHERE id = ANY ($1::text[]) AND state = 'enabled'

-- name: note_callbacks
-- Takes callbacks, whether a post has succeeded, and for how many seconds each is to rest, as arrays, each callback once.
UPDATE callbacks AS c
SET failing_since = CASE WHEN t.ok THEN NULL ELSE coalesce(c.failing_since, now()) END,
    failed_at = CASE WHEN t.ok THEN c.failed_at ELSE now() END,
    rests_until = CASE WHEN t.rest > 0 THEN now() + make_interval(secs => t.rest) ELSE c.rests_until END
FROM unnest($1::text[], $2::boolean[], $3::float8[]) AS t (id, ok, rest)
WHERE c.id = t.id AND (t.rest > 0 OR NOT t.ok OR c.failing_since IS NOT NULL)

-- name: relieve_callback
-- Takes an id; ends its rest and the count of its failures.
UPDATE callbacks SET failing_since = NULL, rests_until = NULL
WHERE id = $1 AND (failing_since IS NOT NULL OR rests_until IS NOT NULL)

-- name: failing_callbacks
-- Takes hours and a limit; returns callbacks that have failed for so long: what failed last came so long after what failed first.
SELECT id, tenant_id FROM callbacks
WHERE state = 'enabled' AND failing_since < now() - make_interval(hours => $1)
    AND failed_at >= failing_since + make_interval(hours => $1)
LIMIT $2

-- name: disable_callback
-- Takes a callback, a reason and the URL that gave it, or null; turns it off unless it is already, or has gone elsewhere since.
UPDATE callbacks SET state = 'disabled', reason = $2, disabled_at = now(), updated_at = now(), revision = revision + 1
WHERE id = $1 AND state = 'enabled' AND ($3::text IS NULL OR url = $3)
RETURNING id

-- name: callbacks_turned_off
-- Takes a limit; returns disabled callbacks for which something waits, and deleted ones.
SELECT id, state FROM callbacks
WHERE state <> 'enabled'
    AND (state = 'deleted' OR EXISTS (SELECT FROM callback_deliveries WHERE callback_id = callbacks.id AND state = 'waiting'))
ORDER BY id LIMIT $1

-- name: forget_deleted_callbacks
-- Takes minutes; forgets callbacks that were deleted longer ago and have no delivery left.
DELETE FROM callbacks
WHERE state = 'deleted' AND updated_at < now() - make_interval(mins => $1)
    AND NOT EXISTS (SELECT FROM callback_deliveries WHERE callback_id = callbacks.id)
