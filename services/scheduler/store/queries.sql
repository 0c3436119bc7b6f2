-- name: insert_holds
-- Takes columns as arrays, and how far ahead is later; a hold that is there already stays as it is.
INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, expires_at, on_unknown, recipient, content, traceparent,
                   run_id, hours, quiet_at, needs_consent, template, free_form, is_later)
SELECT *, due_at > now() + $17::interval
FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::timestamptz[], $7::text[], $8::text[],
            $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::boolean[], $15::text[], $16::boolean[])
    AS t (message_id, tenant_id, number_id, tier, due_at)
ON CONFLICT (message_id) DO NOTHING

-- name: upsert_number
-- Takes a number's record; an older revision changes nothing, a later one opens the number's own gates: what they were closed for
-- may be repaired, and where it is not they are told again.
WITH changed AS (
    INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size, paused, account_id, portfolio_id,
                         unique_users_per_day, enforces_windows)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
    ON CONFLICT (number_id) DO UPDATE
    SET revision = excluded.revision, messages_per_second = excluded.messages_per_second, window_size = excluded.window_size,
        paused = excluded.paused, account_id = excluded.account_id, portfolio_id = excluded.portfolio_id,
        unique_users_per_day = excluded.unique_users_per_day, enforces_windows = excluded.enforces_windows
    WHERE numbers.revision < excluded.revision
    RETURNING number_id
)
DELETE FROM gates USING changed WHERE gates.scope = changed.number_id

-- name: claim_due
-- Takes the most numbers, the most holds per number, the seconds until they are told again, and by tier the percentage of a window
-- that is left to those more urgent (`domain/window.py`). Locks numbers with something due in a tier that has room and whose gates
-- are open, the first of each tenant before the second of any, of one tenant those served longest ago, skipping those another
-- replica is claiming for. A tenant has two firsts: one by tier of what waits, critical or not, so that a critical message waits
-- for no number without one, and nothing else for them. Returns what is now released, its attempt counted, most urgent first, and
-- those that have an obstacle, as they were: of them nothing but message_id and obstacle. Nothing due locks and writes nothing, and
-- of a number that is paused, shut or full no hold is read. A look at the holds is ordered as their index is, a projection is asked
-- by its key (a scalar subquery is never hashed), and the update takes an array: whatever the planner believes of a table that is
-- empty now and huge in a minute, it goes by these indexes (migration 0002 says why that matters). `holds_due` ends with the ids, so
-- a plan made for an empty table would find them there, by reading all that waits: 25 ms a claim while 200,000 do, against 1.4. Where
-- the state comes from a subquery the planner does not see that they are all in it.
WITH tiers AS MATERIALIZED (
    SELECT (place - 1)::smallint AS tier, percent FROM unnest($4::integer[]) WITH ORDINALITY AS t (percent, place)
), shut AS MATERIALIZED (
    SELECT scope FROM gates WHERE tier = 0 AND last_tier = 3 AND until > now()
), ready AS MATERIALIZED (
    SELECT number_id, closed, served_at,
           row_number() OVER (PARTITION BY tenant_id, due.tier = 0 ORDER BY served_at, number_id) AS turn
    FROM numbers CROSS JOIN LATERAL (
        SELECT coalesce(range_agg(int4range(tier, last_tier, '[]')), '{}') AS closed FROM gates
        WHERE scope IN (numbers.number_id, numbers.tenant_id, '*') AND until > now()
    ) AS gate CROSS JOIN LATERAL (
        SELECT tiers.tier FROM tiers CROSS JOIN LATERAL (
            SELECT FROM holds
            WHERE holds.number_id = numbers.number_id AND state = 'waiting' AND holds.tier = tiers.tier AND due_at <= now()
              AND (expires_at IS NULL OR expires_at > now())
            ORDER BY due_at LIMIT 1
        ) AS first
        WHERE NOT gate.closed @> tiers.tier::integer
          AND in_flight < greatest(1, window_size - greatest(least(percent, 1), window_size * percent / 100))
        LIMIT 1
    ) AS due
    WHERE paused IS NULL AND in_flight < window_size AND number_id NOT IN (SELECT scope FROM shut)
      AND tenant_id NOT IN (SELECT scope FROM shut) AND '*' NOT IN (SELECT scope FROM shut)
), room AS MATERIALIZED (
    SELECT locked.*, closed, EXISTS (SELECT FROM kept_suppressions) AND (
               SELECT true FROM kept_suppressions AS k WHERE k.tenant_id = locked.tenant_id LIMIT 1  -- no EXISTS: it reads all
           ) AS has_kept
    FROM (SELECT * FROM ready ORDER BY turn, served_at, number_id) AS next CROSS JOIN LATERAL (
        SELECT number_id, tenant_id, account_id, window_size, in_flight, enforces_windows AND window_known_from <= now() AS enforces
        FROM numbers
        WHERE numbers.number_id = next.number_id AND paused IS NULL AND in_flight < window_size
        FOR UPDATE SKIP LOCKED
    ) AS locked
    LIMIT $1
), due AS MATERIALIZED (
    SELECT message_id, CASE
        WHEN needs_consent AND (has_kept OR EXISTS (SELECT FROM suppressions))
          AND CASE coalesce(
              (SELECT scope FROM suppressions AS s WHERE s.tenant_id = room.tenant_id AND s.phone = urgent.phone),
              CASE WHEN has_kept THEN (
                  SELECT scope FROM kept_suppressions AS k
                  WHERE k.tenant_id = room.tenant_id
                    AND k.digest = sha256((SELECT key FROM digest_key WHERE is_only) || convert_to(urgent.phone, 'UTF8'))
              ) END)
            WHEN 'all' THEN true
            WHEN 'marketing' THEN (
                SELECT category FROM templates AS t WHERE t.account_id = room.account_id AND t.template = urgent.template
            ) = 'marketing'
        END THEN 'suppressed'
        WHEN template IS NOT NULL AND (
            SELECT held FROM templates AS t WHERE t.account_id = room.account_id AND t.template = urgent.template
        ) IS NOT NULL THEN 'blocked'
        WHEN quiet_at <= now() THEN 'quiet'
        WHEN free_form AND enforces AND coalesce((
            SELECT last_inbound_at FROM windows AS w WHERE w.number_id = room.number_id AND w.phone = urgent.phone
        ) <= now() - interval '24 hours', true) THEN CASE WHEN code IS NULL THEN 'doubted' ELSE 'closed' END
    END AS obstacle
    FROM room CROSS JOIN LATERAL (
        SELECT message_id, places, first.phone, needs_consent, template, free_form, quiet_at, code,
               row_number() OVER (ORDER BY tiers.tier, first.due_at, message_id) AS place
        FROM tiers CROSS JOIN LATERAL (
            SELECT least($2, greatest(1, window_size - greatest(least(percent, 1), window_size * percent / 100)) - in_flight)
        ) AS left_free (places) CROSS JOIN LATERAL (
            SELECT message_id, due_at, recipient COLLATE "C" AS phone, needs_consent, template, free_form, quiet_at, code
            FROM holds
            WHERE holds.number_id = room.number_id AND state = 'waiting' AND holds.tier = tiers.tier AND due_at <= now()
              AND (expires_at IS NULL OR expires_at > now())
            ORDER BY due_at, message_id LIMIT greatest(0, places)
        ) AS first
        WHERE NOT closed @> tiers.tier::integer
    ) AS urgent
    WHERE place <= places
), released AS (
    UPDATE holds
    SET state = 'released', attempt = attempt + 1, released_at = now(), tellings = 1, repeat_at = now() + make_interval(secs => $3),
        code = NULL
    WHERE message_id = ANY (ARRAY(SELECT message_id FROM due WHERE obstacle IS NULL)) AND state = (SELECT 'waiting')
    RETURNING message_id, tenant_id, number_id, tier, due_at, expires_at, attempt, failures, recipient, content, traceparent,
              released_at, on_unknown, coalesce(first_due_at, due_at) AS first_due_at
), counted AS (
    UPDATE numbers SET in_flight = in_flight + taken.holds, served_at = now()
    FROM (SELECT number_id, count(*) AS holds FROM released GROUP BY number_id) AS taken
    WHERE numbers.number_id = taken.number_id
)
SELECT *, NULL AS obstacle FROM released
UNION ALL
SELECT message_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, obstacle
FROM due WHERE obstacle IS NOT NULL
ORDER BY tier, due_at, message_id

-- name: end_waiting
-- Takes message ids; deletes those that still wait, skipping locked ones, and returns them. Found by their key as in `claim_due`, as
-- the next ones are.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM holds WHERE message_id = ANY ($1::text[]) AND state = (SELECT 'waiting') FOR UPDATE SKIP LOCKED
))
RETURNING message_id, tenant_id, traceparent, run_id

-- name: block_held
-- Takes message ids; blocks those that still wait and whose template cannot be sent, skipping locked ones, and returns them. Their
-- templates are locked: that one can be sent again is either seen here, or comes after the block and lifts it.
WITH wanted AS MATERIALIZED (
    SELECT message_id, account_id, template FROM holds JOIN numbers USING (number_id)
    WHERE message_id = ANY ($1::text[]) AND state = (SELECT 'waiting')
    FOR UPDATE OF holds SKIP LOCKED
), stopped AS MATERIALIZED (
    SELECT account_id, template, held FROM templates
    WHERE (account_id, template) IN (SELECT account_id, template FROM wanted) AND held IS NOT NULL
    ORDER BY account_id, template FOR SHARE
), found AS MATERIALIZED (
    SELECT message_id, held FROM wanted JOIN stopped USING (account_id, template)
)
UPDATE holds SET state = 'blocked', code = found.held, is_later = true
FROM found
WHERE holds.message_id = ANY (ARRAY(SELECT message_id FROM found)) AND holds.message_id = found.message_id
RETURNING holds.message_id, tenant_id, traceparent, code

-- name: lock_quiet
-- Takes message ids; locks those that still wait, skipping locked ones, and returns their hours and what time it is.
SELECT message_id, tenant_id, traceparent, hours, now() AS now FROM holds
WHERE message_id = ANY ($1::text[]) AND state = (SELECT 'waiting')
FOR UPDATE SKIP LOCKED

-- name: postpone_holds
-- Takes message ids that are locked, with the next opening of each and when that ends.
UPDATE holds SET due_at = told.due_at, quiet_at = told.quiet_at, first_due_at = NULL, is_later = true
FROM unnest($1::text[], $2::timestamptz[], $3::timestamptz[]) AS told (message_id, due_at, quiet_at)
WHERE holds.message_id = ANY ($1::text[]) AND holds.message_id = told.message_id

-- name: doubt_windows
-- Takes message ids, a code and a time; those that still wait are looked at again after it, skipping locked ones.
UPDATE holds SET due_at = now() + $3::interval, first_due_at = coalesce(first_due_at, due_at), code = $2
WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM holds WHERE message_id = ANY ($1::text[]) AND state = (SELECT 'waiting') FOR UPDATE SKIP LOCKED
))

-- name: settle_holds
-- Takes message ids in order with attempts, outcomes (done, deferred, unsettled), retry times and whether a failure counts; locks
-- their numbers, then the holds one by one, in order and as a claim does; frees the window and returns the ids of those put `back`,
-- as `late` those told to be done that are not out, and as `ended` those of a run. Told twice, the second does nothing. Each hold
-- is found by its key, as in `claim_due`.
WITH told AS (
    SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::boolean[])
        AS t (message_id, attempt, outcome, retry_at, counted)
), locked AS MATERIALIZED (
    SELECT number_id FROM numbers
    WHERE number_id = ANY (ARRAY(SELECT DISTINCT number_id FROM holds WHERE message_id = ANY ($1::text[])))
    ORDER BY number_id FOR UPDATE
), mine AS MATERIALIZED (
    SELECT told.message_id, told.outcome, told.retry_at, told.counted, held.number_id, held.state, held.run_id
    FROM told CROSS JOIN LATERAL (
        SELECT number_id, state, run_id FROM holds
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
SELECT message_id, 'back' AS what, run_id FROM mine WHERE outcome = 'deferred'
UNION ALL
SELECT message_id, 'late', NULL FROM told WHERE outcome = 'done' AND message_id NOT IN (SELECT message_id FROM mine)
UNION ALL
SELECT message_id, 'ended', run_id FROM mine WHERE outcome = 'done' AND run_id IS NOT NULL

-- name: trace_holds
-- Takes message ids and trace contexts; what waits without one is recorded from here on. After `settle_holds`, which has locked them.
UPDATE holds SET traceparent = t.traceparent
FROM unnest($1::text[], $2::text[]) AS t (message_id, traceparent)
WHERE holds.message_id = ANY ($1::text[]) AND holds.message_id = t.message_id AND holds.traceparent IS NULL

-- name: end_put_back
-- Takes message ids and attempts; deletes those that were put back after that attempt, it has arrived after all, and returns them.
-- After `settle_holds`, which has locked their numbers.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM unnest($1::text[], $2::integer[]) AS told (message_id, attempt) CROSS JOIN LATERAL (
        SELECT FROM holds
        WHERE holds.message_id = told.message_id AND holds.attempt = told.attempt AND state IN ('waiting', 'blocked')
        FOR UPDATE
    ) AS held
))
RETURNING message_id, run_id

-- name: close_gates
-- Takes scopes, first and last tiers and times as arrays, each gate once and in order, and the longest time; those past their time
-- are left out, one that is closed for longer stays as it is.
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
-- Takes message ids in order with their tenants; deletes those not released, locked in that order as a claim does, and returns
-- them.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT held.message_id FROM unnest($1::text[], $2::text[]) AS told (message_id, tenant_id) CROSS JOIN LATERAL (
        SELECT message_id FROM holds
        WHERE holds.message_id = told.message_id AND holds.tenant_id = told.tenant_id AND state IN ('waiting', 'blocked')
        FOR UPDATE
    ) AS held
))
RETURNING message_id, run_id

-- name: runs_of_unsettled
-- Takes message ids; returns those of unknown outcome that belong to a run, with it, in order.
SELECT message_id, run_id FROM holds
WHERE message_id = ANY($1::text[]) AND state = 'unsettled' AND run_id IS NOT NULL
ORDER BY message_id

-- name: known_holds
-- Takes message ids; returns those that have a hold in any state.
SELECT message_id FROM holds WHERE message_id = ANY($1::text[])

-- name: expire_holds
-- Takes a limit; deletes holds past their time to live that were not released, skipping locked ones, and returns them.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM holds WHERE state IN ('waiting', 'blocked') AND expires_at <= now()
    ORDER BY expires_at LIMIT $1 FOR UPDATE SKIP LOCKED
))
RETURNING message_id, tenant_id, traceparent, run_id

-- name: repeat_silent
-- Takes the first and the longest wait in seconds and a limit; returns released holds without an outcome whose wait is over, to be
-- told again under the same attempt. Each wait is twice the one before.
UPDATE holds SET tellings = tellings + 1, repeat_at = now() + make_interval(secs => least($1 * 2 ^ least(tellings, 30), $2))
WHERE message_id IN (
    SELECT message_id FROM holds WHERE state = 'released' AND repeat_at < now()
    ORDER BY repeat_at LIMIT $3 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, tenant_id, number_id, tier, due_at, expires_at, attempt, failures, recipient, content, traceparent,
          released_at, on_unknown, coalesce(first_due_at, due_at) AS first_due_at

-- name: forget_unsettled
-- Takes days and a limit; deletes unsettled holds that were told longer ago, the provider reports for at most seven days, skipping
-- locked ones (they are just being settled), and returns them.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM holds WHERE state = 'unsettled' AND repeat_at < now() - make_interval(days => $1)
    ORDER BY repeat_at LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING message_id, run_id
