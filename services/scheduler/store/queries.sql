-- name: insert_holds
-- Takes columns as arrays; a hold that is there already stays as it is.
INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, expires_at, on_unknown, recipient, content, traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::timestamptz[], $7::text[],
                     $8::text[], $9::text[], $10::text[])
ON CONFLICT (message_id) DO NOTHING

-- name: upsert_number
-- Takes a number's record; an older revision changes nothing, a later one opens the number's own gates: what they were closed for
-- may be repaired, and where it is not they are told again.
WITH changed AS (
    INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size, paused)
    VALUES ($1, $2, $3, $4, $5, $6)
    ON CONFLICT (number_id) DO UPDATE
    SET revision = excluded.revision, messages_per_second = excluded.messages_per_second, window_size = excluded.window_size,
        paused = excluded.paused
    WHERE numbers.revision < excluded.revision
    RETURNING number_id
)
DELETE FROM gates USING changed WHERE gates.scope = changed.number_id

-- name: claim_due
-- Takes the most numbers, the most holds per number, the seconds until they are told again, and by tier the percentage of a window
-- that is left to those more urgent (`domain/window.py`). Locks numbers with something due in a tier that has room and whose gates
-- are open, those served longest ago, skipping those another replica is claiming for; returns what is now released, its attempt
-- counted, most urgent first. Nothing due locks and writes nothing, and of a number that is paused, shut or full no hold is read.
-- A look at the holds is ordered as their index is, and the update takes an array: whatever the planner believes of a table that is
-- empty now and huge in a minute, it goes by these indexes (migration 0002 says why that matters).
WITH tiers AS MATERIALIZED (
    SELECT (place - 1)::smallint AS tier, percent FROM unnest($4::integer[]) WITH ORDINALITY AS t (percent, place)
), shut AS MATERIALIZED (
    SELECT scope FROM gates WHERE tier = 0 AND last_tier = 3 AND until > now()
), room AS MATERIALIZED (
    SELECT number_id, window_size, in_flight, gate.closed
    FROM numbers CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(int4range(tier, last_tier, '[]')), '{}') AS closed FROM gates
        WHERE scope IN (numbers.number_id, numbers.tenant_id, '*') AND until > now()
    ) AS gate
    WHERE paused IS NULL AND in_flight < window_size AND number_id NOT IN (SELECT scope FROM shut)
      AND tenant_id NOT IN (SELECT scope FROM shut) AND '*' NOT IN (SELECT scope FROM shut) AND (
        SELECT true FROM tiers CROSS JOIN LATERAL (
            SELECT FROM holds
            WHERE holds.number_id = numbers.number_id AND state = 'waiting' AND holds.tier = tiers.tier AND due_at <= now()
              AND (expires_at IS NULL OR expires_at > now())
            ORDER BY due_at LIMIT 1
        ) AS due
        WHERE NOT gate.closed @> tiers.tier::integer
          AND in_flight < greatest(1, window_size - greatest(least(percent, 1), window_size * percent / 100))
        LIMIT 1
    )
    ORDER BY served_at, number_id LIMIT $1
    FOR UPDATE OF numbers SKIP LOCKED
), due AS MATERIALIZED (
    SELECT urgent.message_id
    FROM room CROSS JOIN LATERAL (
        SELECT message_id, places, row_number() OVER (ORDER BY tiers.tier, first.due_at, message_id) AS place
        FROM tiers CROSS JOIN LATERAL (
            SELECT least($2, greatest(1, window_size - greatest(least(percent, 1), window_size * percent / 100)) - in_flight)
        ) AS left_free (places) CROSS JOIN LATERAL (
            SELECT message_id, due_at FROM holds
            WHERE holds.number_id = room.number_id AND state = 'waiting' AND holds.tier = tiers.tier AND due_at <= now()
              AND (expires_at IS NULL OR expires_at > now())
            ORDER BY due_at, message_id LIMIT greatest(0, places)
        ) AS first
        WHERE NOT closed @> tiers.tier::integer
    ) AS urgent
    WHERE place <= places
), released AS (
    UPDATE holds
    SET state = 'released', attempt = attempt + 1, released_at = now(), tellings = 1, repeat_at = now() + make_interval(secs => $3)
    WHERE message_id = ANY (ARRAY(SELECT message_id FROM due)) AND state = 'waiting'
    RETURNING message_id, tenant_id, number_id, tier, due_at, expires_at, attempt, failures, recipient, content, traceparent,
              released_at, on_unknown, coalesce(first_due_at, due_at) AS first_due_at
), counted AS (
    UPDATE numbers SET in_flight = in_flight + taken.holds, served_at = now()
    FROM (SELECT number_id, count(*) AS holds FROM released GROUP BY number_id) AS taken
    WHERE numbers.number_id = taken.number_id
)
SELECT * FROM released ORDER BY tier, due_at, message_id

-- name: settle_holds
-- Takes message ids in order with attempts, outcomes (done, deferred, unsettled), retry times and whether a failure counts; locks their
-- numbers, then the holds one by one, in order and as a claim does; frees the window and returns the ids of those put back, and as late
-- those told to be done that are not out. Told twice, the second does nothing. Each hold is found by its key, as in `claim_due`.
WITH told AS (
    SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::boolean[])
        AS t (message_id, attempt, outcome, retry_at, counted)
), locked AS MATERIALIZED (
    SELECT number_id FROM numbers
    WHERE number_id = ANY (ARRAY(SELECT DISTINCT number_id FROM holds WHERE message_id = ANY ($1::text[])))
    ORDER BY number_id FOR UPDATE
), mine AS MATERIALIZED (
    SELECT told.message_id, told.outcome, told.retry_at, told.counted, held.number_id, held.state
    FROM told CROSS JOIN LATERAL (
        SELECT number_id, state FROM holds
        WHERE holds.message_id = told.message_id AND holds.attempt = told.attempt AND state IN ('released', 'unsettled')
          AND (SELECT count(*) FROM locked) >= 0
        FOR UPDATE
    ) AS held
), freed AS MATERIALIZED (
    SELECT number_id, count(*) AS holds FROM mine WHERE state = 'released' GROUP BY number_id
), counted AS (
    UPDATE numbers SET in_flight = greatest(0, in_flight - freed.holds)
    FROM freed JOIN locked USING (number_id) WHERE numbers.number_id = freed.number_id
), done AS (
    DELETE FROM holds WHERE message_id = ANY (ARRAY(SELECT message_id FROM mine WHERE outcome = 'done'))
), again AS (
    UPDATE holds
    SET state = CASE mine.outcome WHEN 'deferred' THEN 'waiting' ELSE 'unsettled' END,
        first_due_at = coalesce(first_due_at, due_at),
        due_at = coalesce(mine.retry_at, due_at),
        failures = failures + mine.counted::integer
    FROM mine
    WHERE holds.message_id = ANY (ARRAY(SELECT message_id FROM mine WHERE outcome NOT IN ('done', mine.state)))
      AND holds.message_id = mine.message_id
)
SELECT message_id, false AS late FROM mine WHERE outcome = 'deferred'
UNION ALL
SELECT message_id, true FROM told WHERE outcome = 'done' AND message_id NOT IN (SELECT message_id FROM mine)

-- name: end_put_back
-- Takes message ids and attempts; deletes those that were put back after that attempt: it has arrived after all. After `settle_holds`,
-- which has locked their numbers.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM unnest($1::text[], $2::integer[]) AS told (message_id, attempt) CROSS JOIN LATERAL (
        SELECT FROM holds
        WHERE holds.message_id = told.message_id AND holds.attempt = told.attempt AND state = 'waiting'
        FOR UPDATE
    ) AS held
))

-- name: close_gates
-- Takes scopes, first and last tiers and times as arrays, each gate once and in order, and the longest time; those past their time are left out,
-- one that is closed for longer stays as it is.
INSERT INTO gates (scope, tier, last_tier, until)
SELECT scope, tier, last_tier, least(until, now() + $5::interval)
FROM unnest($1::text[], $2::smallint[], $3::smallint[], $4::timestamptz[]) AS t (scope, tier, last_tier, until)
WHERE until > now()
ON CONFLICT (scope, tier, last_tier) DO UPDATE SET until = excluded.until WHERE gates.until < excluded.until

-- name: prune_gates
-- Deletes gates past their time, skipping those that are just being closed again.
DELETE FROM gates WHERE ctid = ANY (ARRAY(SELECT ctid FROM gates WHERE until <= now() FOR UPDATE SKIP LOCKED))

-- name: closed_gates
-- Takes a limit; returns the gates that are closed now, those for everything first.
SELECT scope, tier, last_tier, until FROM gates WHERE until > now() ORDER BY scope, tier, last_tier LIMIT $1

-- name: paused_numbers
-- Takes a limit; returns the numbers that release nothing with the code of the reason.
SELECT number_id, paused AS code FROM numbers WHERE paused IS NOT NULL ORDER BY number_id LIMIT $1

-- name: cancel_holds
-- Takes message ids with their tenants; deletes those still waiting and returns them.
DELETE FROM holds USING unnest($1::text[], $2::text[]) AS t (message_id, tenant_id)
WHERE holds.message_id = t.message_id AND holds.tenant_id = t.tenant_id AND holds.state = 'waiting'
RETURNING holds.message_id

-- name: known_holds
-- Takes message ids; returns those that have a hold in any state.
SELECT message_id FROM holds WHERE message_id = ANY($1::text[])

-- name: expire_holds
-- Takes a limit; deletes waiting holds past their time to live, skipping locked ones, and returns them.
DELETE FROM holds WHERE message_id IN (
    SELECT message_id FROM holds WHERE state = 'waiting' AND expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, tenant_id, traceparent

-- name: repeat_silent
-- Takes the first and the longest wait in seconds and a limit; returns released holds without an outcome whose wait is over, to be
-- told again under the same attempt. Each wait is twice the one before.
UPDATE holds SET tellings = tellings + 1, repeat_at = now() + make_interval(secs => least($1 * 2 ^ least(tellings, 30), $2))
WHERE message_id IN (
    SELECT message_id FROM holds WHERE state = 'released' AND repeat_at < now()
    ORDER BY repeat_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, tenant_id, number_id, tier, due_at, expires_at, attempt, failures, recipient, content, traceparent, released_at,
          on_unknown, coalesce(first_due_at, due_at) AS first_due_at

-- name: forget_unsettled
-- Takes days; deletes unsettled holds that were told longer ago: the provider reports for at most seven days.
DELETE FROM holds WHERE state = 'unsettled' AND repeat_at < now() - make_interval(days => $1)
