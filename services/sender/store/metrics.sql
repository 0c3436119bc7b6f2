-- name: paused_numbers
-- How many numbers are paused, by the code of the reason.
SELECT paused AS code, count(*) AS numbers FROM numbers WHERE paused IS NOT NULL GROUP BY paused

-- name: unknown_attempts
-- Takes a limit; how many attempts of unknown outcome may still be reported, counted so far, and the seconds since the first of
-- them became so.
SELECT count(*) AS attempts, coalesce(greatest(extract(epoch FROM now() - min(since)), 0), 0)::float8 AS oldest_seconds
FROM (
    SELECT CASE WHEN settled_at = 'infinity' THEN started_at ELSE settled_at END AS since FROM attempts  -- held back after a restore
    WHERE state = 'unknown' AND code <> 'unknown.unconfirmed' AND code <> 'platform.discarded' ORDER BY settled_at LIMIT $1
) AS unknown

-- name: waiting_deliveries
-- Takes a limit; how many deliveries wait, counted so far, and beyond that what the database thought when it last looked. In the
-- order of the index, or the planner might look for them among those that have ended.
SELECT CASE WHEN counted.deliveries < $1 THEN counted.deliveries ELSE greatest(counted.deliveries, (
           SELECT reltuples::bigint FROM pg_class WHERE oid = 'callback_deliveries_waiting'::regclass
       )) END AS deliveries
FROM (
    SELECT count(*) AS deliveries
    FROM (SELECT FROM callback_deliveries WHERE state = 'waiting' ORDER BY callback_id, due_at LIMIT $1) AS waiting
) AS counted

-- name: oldest_due_delivery
-- Takes how many callbacks are looked at, at most; the seconds for which the longest waiting delivery has been due, of callbacks
-- that are on and neither fail nor rest. Steps from callback to callback through the index: what waits for one is not read.
WITH RECURSIVE stepped AS (
    (SELECT callback_id, due_at, 1 AS step FROM callback_deliveries WHERE state = 'waiting' ORDER BY callback_id, due_at LIMIT 1)
    UNION ALL
    SELECT following.callback_id, following.due_at, stepped.step + 1
    FROM stepped CROSS JOIN LATERAL (
        SELECT callback_id, due_at FROM callback_deliveries
        WHERE state = 'waiting' AND callback_id > stepped.callback_id
        ORDER BY callback_id, due_at LIMIT 1
    ) AS following
    WHERE stepped.step < $1
)
SELECT coalesce(greatest(extract(epoch FROM now() - min(stepped.due_at)), 0), 0)::float8 AS due_seconds
FROM stepped JOIN callbacks ON callbacks.id = stepped.callback_id
WHERE callbacks.state = 'enabled' AND callbacks.failing_since IS NULL
    AND (callbacks.rests_until IS NULL OR callbacks.rests_until <= now())

-- name: failing_callbacks_now
-- How many callbacks are on and have failed last.
SELECT count(*) FROM callbacks WHERE state = 'enabled' AND failing_since IS NOT NULL
