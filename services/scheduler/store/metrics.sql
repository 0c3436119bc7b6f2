-- name: measure_holds
-- How many messages are held, by tier and by what they wait for. Of those that wait for their time or for room 10,000 of each tier are
-- counted and no more, of each other sort 10,000 in all. Looks at the holds go by their indexes and end there, so that millions of them
-- cost no more than that: from queue to queue, which is a tier of a number, and none at queues that are empty.
WITH RECURSIVE queues AS (
    (SELECT number_id, tier, due_at FROM holds WHERE state = 'waiting' ORDER BY number_id, tier, due_at LIMIT 1)
    UNION ALL
    SELECT following.* FROM queues CROSS JOIN LATERAL (
        SELECT number_id, tier, due_at FROM holds
        WHERE state = 'waiting' AND (number_id, tier) > (queues.number_id, queues.tier)
        ORDER BY number_id, tier, due_at LIMIT 1
    ) AS following
)
SELECT tier, state, count(*) AS holds FROM (
    SELECT found.tier, 'due' AS state
    FROM unnest('{0,1,2,3}'::smallint[]) AS tiers (tier) CROSS JOIN LATERAL (
        SELECT queues.tier FROM queues CROSS JOIN LATERAL (
            SELECT FROM holds
            WHERE holds.number_id = queues.number_id AND state = 'waiting' AND holds.tier = queues.tier AND holds.due_at <= now()
            ORDER BY holds.due_at LIMIT 10000
        ) AS held
        WHERE queues.tier = tiers.tier AND queues.due_at <= now() LIMIT 10000
    ) AS found
    UNION ALL
    SELECT found.tier, 'scheduled'
    FROM unnest('{0,1,2,3}'::smallint[]) AS tiers (tier) CROSS JOIN LATERAL (
        SELECT queues.tier FROM queues CROSS JOIN LATERAL (
            SELECT FROM holds
            WHERE holds.number_id = queues.number_id AND state = 'waiting' AND holds.tier = queues.tier AND holds.due_at > now()
            ORDER BY holds.due_at LIMIT 10000
        ) AS held
        WHERE queues.tier = tiers.tier LIMIT 10000
    ) AS found
    UNION ALL
    (SELECT tier, 'blocked' FROM holds WHERE code IS NOT NULL AND state = 'blocked' LIMIT 10000)
    UNION ALL
    (SELECT tier, 'released' FROM holds WHERE state = 'released' LIMIT 10000)
    UNION ALL
    (SELECT tier, 'unsettled' FROM holds WHERE state = 'unsettled' LIMIT 10000)
) AS some_of GROUP BY tier, state

-- name: measure_oldest_due
-- By tier, for how many seconds the oldest message has been due that nothing but room and speed holds back: not those of numbers that
-- are paused, nor where a gate is shut. Tiers without any are left out. Goes from queue to queue, as `measure_holds`.
WITH RECURSIVE shut AS MATERIALIZED (
    SELECT scope, range_agg(int4range(tier, last_tier, '[]')) AS tiers FROM gates WHERE until > now() GROUP BY scope
), queues AS (
    (SELECT number_id, tier, due_at FROM holds
     WHERE state = 'waiting' AND (expires_at IS NULL OR expires_at > now())
     ORDER BY number_id, tier, due_at LIMIT 1)
    UNION ALL
    SELECT following.* FROM queues CROSS JOIN LATERAL (
        SELECT number_id, tier, due_at FROM holds
        WHERE state = 'waiting' AND (expires_at IS NULL OR expires_at > now())
          AND (number_id, tier) > (queues.number_id, queues.tier)
        ORDER BY number_id, tier, due_at LIMIT 1
    ) AS following
)
SELECT queues.tier, extract(epoch FROM now() - min(due_at))::float AS seconds
FROM queues JOIN numbers USING (number_id)
WHERE due_at <= now() AND paused IS NULL AND NOT EXISTS (
    SELECT FROM shut WHERE scope IN (numbers.number_id, numbers.tenant_id, '*') AND shut.tiers @> queues.tier::integer
)
GROUP BY queues.tier

-- name: measure_campaigns
-- How many campaigns are on, by the state of their runs.
SELECT state, count(*) AS runs FROM runs WHERE state IN ('expanding', 'running', 'paused') AND kind = 'campaign' GROUP BY state

-- name: measure_schedules
-- How many schedules the planner should have looked at, counted to 10,000.
SELECT count(*) FROM (
    SELECT FROM schedules WHERE state = 'active' AND plan_at <= now() LIMIT 10000
) AS counted
