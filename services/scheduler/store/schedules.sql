-- name: insert_schedule
-- Takes all that a new schedule has.
INSERT INTO schedules (id, tenant_id, definition, timing, spec, overlap, catchup_seconds, next_at, plan_at, reference, group_ids,
                       created_at, updated_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)

-- name: lock_schedule
-- Takes a tenant and an id; returns the schedule, locked.
SELECT * FROM schedules WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: select_schedule
-- Takes a tenant and an id; returns the schedule.
SELECT * FROM schedules WHERE tenant_id = $1 AND id = $2

-- name: redefine_schedule
-- Takes an id and its new definition, what that means, its next occurrence, the occurrences opened so far, the time, and whether its
-- timing is new: then what waited is dropped.
UPDATE schedules
SET definition = $2, timing = $3, spec = $4, overlap = $5, catchup_seconds = $6, next_at = $7, plan_at = $8, reference = $9,
    group_ids = $10, opened = $11, updated_at = $12, waiting = CASE WHEN $13 THEN '{}' ELSE waiting END
WHERE id = $1

-- name: turn_schedule
-- Takes an id, a state, when its next occurrence is and when the planner looks, the occurrences opened so far, and the time.
UPDATE schedules
SET state = $2, next_at = $3, plan_at = $4, opened = $5, updated_at = $6, waiting = CASE WHEN $2 = 'canceled' THEN '{}' ELSE waiting END
WHERE id = $1

-- name: select_schedules
-- Takes a tenant, an id to start before, a limit, and a state, a reference and a group or null; the latest first.
SELECT * FROM schedules
WHERE tenant_id = $1 AND id < $2 AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR reference = $5)
    AND ($6::text IS NULL OR $6 = ANY (group_ids))
ORDER BY id DESC LIMIT $3

-- name: select_schedules_of_reference
-- As select_schedules, for a reference.
SELECT * FROM schedules
WHERE tenant_id = $1 AND reference = $5 AND id < $2 AND ($4::text IS NULL OR state = $4)
    AND ($6::text IS NULL OR $6 = ANY (group_ids))
ORDER BY id DESC LIMIT $3

-- name: page_of_schedules
-- Takes a tenant, how many of the latest to leave out, and a limit; the page's ids are found before its rows are read.
SELECT * FROM schedules WHERE id = ANY (ARRAY(
    SELECT id FROM schedules WHERE tenant_id = $1 ORDER BY id DESC OFFSET $2 LIMIT $3
))
ORDER BY id DESC

-- name: count_schedules
-- Takes a tenant; reads an index only.
SELECT count(*) FROM schedules WHERE tenant_id = $1

-- name: page_of_selected_schedules
-- As page_of_schedules, and takes a state, a reference and a group or null.
SELECT * FROM schedules WHERE id = ANY (ARRAY(
    SELECT id FROM schedules
    WHERE tenant_id = $1 AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR reference = $5)
        AND ($6::text IS NULL OR $6 = ANY (group_ids))
    ORDER BY id DESC OFFSET $2 LIMIT $3
))
ORDER BY id DESC

-- name: count_selected_schedules
-- Takes a tenant, and a state, a reference and a group or null.
SELECT count(*) FROM schedules
WHERE tenant_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::text IS NULL OR reference = $3)
    AND ($4::text IS NULL OR $4 = ANY (group_ids))

-- name: numbers_of_tenant
-- Takes a tenant and a number or null; returns that number if it is the tenant's, or without one two of them at most.
SELECT number_id FROM numbers WHERE tenant_id = $1 AND ($2::text IS NULL OR number_id = $2) ORDER BY number_id LIMIT 2

-- name: select_tenant
-- Takes a tenant; returns its zone and hours.
SELECT time_zone, hours FROM tenants WHERE tenant_id = $1

-- name: upsert_tenants
-- Takes tenants, revisions, zones and hours as arrays, each tenant once; an earlier revision changes nothing.
INSERT INTO tenants (tenant_id, revision, time_zone, hours)
SELECT * FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[])
ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision, time_zone = excluded.time_zone, hours = excluded.hours
WHERE tenants.revision < excluded.revision

-- name: claim_schedules
-- Takes the time and a limit; locks schedules that the planner is to look at, skipping locked ones, and returns them with their
-- tenant's zone and hours. Whether a run of theirs is on is a question for afterwards: what this statement sees beside the rows it
-- locks may be older than they are.
SELECT s.id, s.tenant_id, s.timing, s.spec, s.overlap, s.catchup_seconds, s.next_at, s.waiting, s.opened, t.time_zone, t.hours
FROM schedules AS s LEFT JOIN tenants AS t ON t.tenant_id = s.tenant_id
WHERE s.state = 'active' AND s.plan_at <= $1
ORDER BY s.plan_at LIMIT $2
FOR UPDATE OF s SKIP LOCKED

-- name: advance_schedules
-- Takes ids and what has become of each as arrays; waiting as the text of an array.
UPDATE schedules
SET state = t.state, next_at = t.next_at, plan_at = t.plan_at, waiting = t.waiting::timestamptz[], opened = t.opened,
    missed_at = coalesce(t.missed_at, schedules.missed_at)
FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::integer[], $7::timestamptz[])
    AS t (id, state, next_at, plan_at, waiting, opened, missed_at)
WHERE schedules.id = t.id

-- name: postpone_schedules
-- Takes ids and when the planner looks at them again.
UPDATE schedules SET plan_at = $2 WHERE id = ANY ($1::text[])

-- name: insert_schedule_runs
-- Takes runs, their schedules and occurrences as arrays, the time, and whether they were asked for by hand.
INSERT INTO schedule_runs (run_id, schedule_id, due_at, opened_at, by_hand)
SELECT run_id, schedule_id, due_at, $4, $5 FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS t (run_id, schedule_id, due_at)

-- name: open_runs
-- Takes schedules; returns their runs that are on, with the occurrence each is for.
SELECT mine.run_id, mine.schedule_id, mine.due_at, mine.by_hand
FROM runs JOIN schedule_runs AS mine ON mine.run_id = runs.id
WHERE runs.owner_id = ANY ($1::text[]) AND runs.state IN ('expanding', 'running', 'paused')
ORDER BY mine.run_id

-- name: forget_schedule_runs
-- Takes runs that were taken back before their time: they were never a run of the schedule.
DELETE FROM schedule_runs WHERE run_id = ANY ($1::text[])

-- name: last_runs
-- Takes a schedule and a limit; returns its latest runs.
SELECT mine.run_id, mine.due_at, mine.opened_at, mine.by_hand, runs.state, runs.code, runs.detail
FROM schedule_runs AS mine JOIN runs ON runs.id = mine.run_id
WHERE mine.schedule_id = $1 ORDER BY mine.due_at DESC LIMIT $2

-- name: rejections_of_runs
-- Takes runs, among how many of the first recipients of each to look, and how many reasons of each; returns for which their
-- recipients were rejected, the most frequent first.
SELECT told.run_id, reason.code, reason.recipients
FROM unnest($1::text[]) AS told (run_id) CROSS JOIN LATERAL (
    SELECT code, count(*) AS recipients FROM (
        SELECT state, code FROM recipients WHERE recipients.run_id = told.run_id ORDER BY position LIMIT $2
    ) AS looked_at
    WHERE state = 'rejected' GROUP BY code ORDER BY count(*) DESC, code LIMIT $3
) AS reason
ORDER BY told.run_id, reason.recipients DESC, reason.code

-- name: cancel_schedules
-- Takes a tenant, the time, ids, a state, a reference, a group and the bounds of the next occurrence, each or null, and a limit;
-- cancels those that fit and returns their ids. An occurrence whose run was opened ahead of its time is still to come.
UPDATE schedules SET state = 'canceled', next_at = NULL, plan_at = NULL, waiting = '{}', updated_at = $2
WHERE id = ANY (ARRAY(
    SELECT id FROM schedules
    WHERE tenant_id = $1 AND state IN ('active', 'paused') AND ($3::text[] IS NULL OR id = ANY ($3))
        AND ($4::text IS NULL OR state = $4) AND ($5::text IS NULL OR reference = $5) AND ($6::text IS NULL OR $6 = ANY (group_ids))
        AND (
            (($7::timestamptz IS NULL OR next_at >= $7) AND ($8::timestamptz IS NULL OR next_at < $8))
            OR EXISTS (
                SELECT FROM schedule_runs AS mine
                WHERE mine.schedule_id = schedules.id AND mine.due_at > $2
                    AND ($7 IS NULL OR mine.due_at >= $7) AND ($8 IS NULL OR mine.due_at < $8)
            )
        )
    ORDER BY id LIMIT $9 FOR UPDATE
))
RETURNING id

-- name: prune_schedule_runs
-- Takes days and a limit; forgets runs that were opened longer ago and are not on.
DELETE FROM schedule_runs WHERE run_id = ANY (ARRAY(
    SELECT run_id FROM schedule_runs
    WHERE opened_at < now() - make_interval(days => $1)
        AND NOT EXISTS (SELECT FROM runs WHERE id = run_id AND state IN ('expanding', 'running', 'paused'))
    LIMIT $2
))
