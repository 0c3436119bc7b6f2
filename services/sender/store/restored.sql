-- name: insert_restore
-- Notes that this database was restored just now; returns the moment.
INSERT INTO restores (restored_at) VALUES (clock_timestamp()) RETURNING restored_at

-- name: last_restore
-- Returns when this database was restored last, null where it never was.
SELECT max(restored_at) FROM restores

-- name: select_wanted
-- Takes message ids; returns those that an operator wants sent.
SELECT DISTINCT message_id FROM attempts WHERE message_id = ANY ($1::text[]) AND code = 'platform.resent'

-- name: hold_back
-- Takes attempts as arrays; writes those that are not there as of unknown outcome and returns their ids. They are settled at the end
-- of time, so that the end of the grace time passes them by.
INSERT INTO attempts (message_id, attempt, tenant_id, number_id, traceparent, released_at, started_at, instance, lease_until, state,
                      code, counted, settled_at)
SELECT message_id, attempt, tenant_id, number_id, traceparent, released_at, $7, 'restored', $7, 'unknown', 'platform.restored', false,
       'infinity'
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS t (message_id, attempt, tenant_id, number_id, traceparent, released_at)
ORDER BY message_id, attempt
ON CONFLICT (message_id, attempt) DO NOTHING
RETURNING message_id, attempt

-- name: resend_restored
-- Takes a tenant, a number and message ids, null for any, and a limit; puts attempts that wait for an operator back, to be made, and
-- returns them.
UPDATE attempts SET state = 'deferred', code = 'platform.resent', retry_at = now(), settled_at = now()
WHERE (message_id, attempt) IN (
    SELECT message_id, attempt FROM attempts
    WHERE state = 'unknown' AND code = 'platform.restored' AND ($1::text IS NULL OR tenant_id = $1)
      AND ($2::text IS NULL OR number_id = $2) AND ($3::text[] IS NULL OR message_id = ANY ($3))
    ORDER BY message_id LIMIT $4 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, attempt, tenant_id, traceparent, started_at, released_at, retry_at

-- name: discard_restored
-- As resend_restored, for those that are not to be sent; they stay unknown, and a report still settles them.
UPDATE attempts SET code = 'platform.discarded'
WHERE (message_id, attempt) IN (
    SELECT message_id, attempt FROM attempts
    WHERE state = 'unknown' AND code = 'platform.restored' AND ($1::text IS NULL OR tenant_id = $1)
      AND ($2::text IS NULL OR number_id = $2) AND ($3::text[] IS NULL OR message_id = ANY ($3))
    ORDER BY message_id LIMIT $4 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, attempt, tenant_id, traceparent, started_at, released_at, retry_at

-- name: settle_restored
-- Takes message ids with the wamid of a report; settles what was held back of them, whichever attempt the report is on: that one may
-- have been made after the backup. Returns them.
UPDATE attempts SET state = 'sent', wamid = t.wamid, code = NULL, settled_at = now()
FROM unnest($1::text[], $2::text[]) AS t (message_id, wamid)
WHERE attempts.message_id = t.message_id AND state IN ('unknown', 'deferred')
  AND code IN ('platform.restored', 'platform.discarded', 'platform.resent')
RETURNING attempts.message_id, attempts.attempt, attempts.tenant_id, attempts.traceparent, attempts.started_at,
          attempts.released_at, attempts.wamid

-- name: count_restored
-- Takes a limit; counts by number what waits for an operator, the most first.
SELECT tenant_id, number_id, count(*) AS messages FROM attempts WHERE state = 'unknown' AND code = 'platform.restored'
GROUP BY tenant_id, number_id ORDER BY messages DESC, number_id LIMIT $1
