-- name: insert_holds
-- Takes columns as arrays; a hold that is there already stays as it is.
INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, expires_at, recipient, content, traceparent)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::timestamptz[],
                     $7::text[], $8::text[], $9::text[])
ON CONFLICT (message_id) DO NOTHING

-- name: upsert_number
-- Takes a number's record; an older revision changes nothing.
INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (number_id) DO UPDATE
SET revision = excluded.revision, messages_per_second = excluded.messages_per_second, window_size = excluded.window_size
WHERE numbers.revision < excluded.revision

-- name: claim_due
-- Takes the most numbers, the most holds per number and the seconds until they are told again; locks numbers with room and something
-- due, those served longest ago, skipping those another replica is claiming for; returns what is now released, its attempt counted,
-- most urgent first. Nothing due locks and writes nothing.
WITH room AS MATERIALIZED (
    SELECT number_id, least(window_size - in_flight, $2) AS room
    FROM numbers
    WHERE in_flight < window_size AND EXISTS (
        SELECT FROM (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS tiers (tier)
        WHERE EXISTS (
            SELECT FROM holds
            WHERE holds.number_id = numbers.number_id AND state = 'waiting' AND holds.tier = tiers.tier AND due_at <= now()
              AND (expires_at IS NULL OR expires_at > now())
        )
    )
    ORDER BY served_at, number_id LIMIT $1
    FOR UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT picked.message_id, room.number_id
    FROM room CROSS JOIN LATERAL (
        SELECT urgent.message_id
        FROM (VALUES (0::smallint), (1::smallint), (2::smallint), (3::smallint)) AS tiers (tier)
        CROSS JOIN LATERAL (
            SELECT message_id, due_at FROM holds
            WHERE holds.number_id = room.number_id AND state = 'waiting' AND holds.tier = tiers.tier AND due_at <= now()
              AND (expires_at IS NULL OR expires_at > now())
            ORDER BY due_at, message_id LIMIT room.room
        ) AS urgent
        ORDER BY tiers.tier, urgent.due_at, urgent.message_id LIMIT room.room
    ) AS picked
), released AS (
    UPDATE holds
    SET state = 'released', attempt = attempt + 1, released_at = now(), tellings = 1, repeat_at = now() + make_interval(secs => $3)
    FROM due WHERE holds.message_id = due.message_id AND holds.state = 'waiting'
    RETURNING holds.message_id, holds.tenant_id, holds.number_id, holds.tier, holds.due_at, holds.expires_at, holds.attempt,
              holds.failures, holds.recipient, holds.content, holds.traceparent, holds.released_at
), counted AS (
    UPDATE numbers SET in_flight = in_flight + taken.holds, served_at = now()
    FROM (SELECT number_id, count(*) AS holds FROM released GROUP BY number_id) AS taken
    WHERE numbers.number_id = taken.number_id
)
SELECT * FROM released ORDER BY tier, due_at, message_id

-- name: settle_holds
-- Takes message ids with attempts, outcomes (done, deferred, unsettled), retry times and whether a failure counts; locks the holds,
-- then their numbers in order; frees the window and returns how many holds were touched. Told twice, the second does nothing.
WITH told AS (
    SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::timestamptz[], $5::boolean[])
        AS t (message_id, attempt, outcome, retry_at, counted)
), mine AS MATERIALIZED (
    SELECT holds.message_id, holds.number_id, holds.state, told.outcome, told.retry_at, told.counted
    FROM holds JOIN told ON told.message_id = holds.message_id AND told.attempt = holds.attempt
    WHERE holds.state IN ('released', 'unsettled')
    ORDER BY holds.message_id FOR UPDATE OF holds
), freed AS MATERIALIZED (
    SELECT number_id, count(*) AS holds FROM mine WHERE state = 'released' GROUP BY number_id
), locked AS MATERIALIZED (
    SELECT number_id FROM numbers WHERE number_id IN (SELECT number_id FROM freed) ORDER BY number_id FOR UPDATE
), counted AS (
    UPDATE numbers SET in_flight = greatest(0, in_flight - freed.holds)
    FROM freed JOIN locked USING (number_id) WHERE numbers.number_id = freed.number_id
), done AS (
    DELETE FROM holds USING mine WHERE holds.message_id = mine.message_id AND mine.outcome = 'done'
), again AS (
    UPDATE holds
    SET state = CASE mine.outcome WHEN 'deferred' THEN 'waiting' ELSE 'unsettled' END,
        due_at = coalesce(mine.retry_at, holds.due_at),
        failures = holds.failures + mine.counted::integer
    FROM mine WHERE holds.message_id = mine.message_id AND mine.outcome <> 'done'
)
SELECT count(*) FROM mine

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
RETURNING message_id, tenant_id, number_id, tier, due_at, expires_at, attempt, failures, recipient, content, traceparent, released_at

-- name: forget_unsettled
-- Takes days; deletes unsettled holds that were told longer ago: the provider reports for at most seven days.
DELETE FROM holds WHERE state = 'unsettled' AND repeat_at < now() - make_interval(days => $1)
