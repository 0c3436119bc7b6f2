-- name: insert_run
-- Takes a run's columns and the seconds until its first page is asked for again.
INSERT INTO runs (id, tenant_id, kind, owner_id, number_id, since, created_at, asking, terms, ask_at)
VALUES ($1, $2, $3, $4, $5, $6, $6, $7, $8, now() + make_interval(secs => $9))

-- name: lock_expanding
-- Takes a run; locks and returns it while its audience is being found.
SELECT id, tenant_id, kind, state, page, terms FROM runs
WHERE id = $1 AND NOT is_expanded AND state IN ('expanding', 'paused')
FOR UPDATE

-- name: advance_run
-- Takes a run, the next page's cursor (null: there is none) and the seconds until that page is asked for again; returns what is
-- needed to ask for it. After the last page it runs, and a preflight has ended.
UPDATE runs SET
    page = page + ($2::text IS NOT NULL)::integer, cursor = $2, askings = 1, ask_at = now() + make_interval(secs => $3),
    is_expanded = $2 IS NULL,
    state = CASE WHEN $2 IS NOT NULL THEN state
                 WHEN kind = 'preflight' THEN 'ended'
                 WHEN state = 'paused' THEN state
                 ELSE 'running' END,
    since = CASE WHEN $2 IS NOT NULL OR (state = 'paused' AND kind <> 'preflight') THEN since ELSE now() END,
    tend_at = CASE WHEN $2 IS NULL AND kind <> 'preflight' THEN now() ELSE tend_at END
WHERE id = $1
RETURNING page, asking

-- name: fail_run
-- Takes a locked run, a code and a detail; there is no such audience.
UPDATE runs SET state = 'failed', code = $2, detail = $3, since = now(),
                tend_at = CASE WHEN kind = 'preflight' THEN tend_at ELSE now() END
WHERE id = $1

-- name: ask_again
-- Takes a first and a longest wait in seconds and a limit; returns runs whose page did not come in its time. Each wait is twice the
-- one before.
UPDATE runs SET askings = askings + 1, ask_at = now() + make_interval(secs => least($1 * 2 ^ least(askings, 30), $2))
WHERE id = ANY (ARRAY(
    SELECT id FROM runs WHERE ask_at <= now() AND NOT is_expanded AND state IN ('expanding', 'paused')
    ORDER BY ask_at LIMIT $3 FOR UPDATE SKIP LOCKED
))
RETURNING id, tenant_id, page, cursor, asking

-- name: pause_runs
-- Takes runs, a code and a detail; pauses those that are on, locked in order, and returns them.
UPDATE runs SET state = 'paused', code = $2, detail = $3, since = now(), tend_at = now()
WHERE id = ANY (ARRAY(
    SELECT id FROM runs WHERE id = ANY ($1::text[]) AND state IN ('expanding', 'running') AND kind <> 'preflight'
    ORDER BY id FOR UPDATE
))
RETURNING id

-- name: resume_runs
-- Takes runs; those that are paused go on, locked in order, and are returned. Neither their pace nor their failures remember the
-- pause.
UPDATE runs SET state = CASE WHEN is_expanded THEN 'running' ELSE 'expanding' END, code = NULL, detail = NULL, since = now(),
                paced_at = CASE WHEN paced_at IS NOT NULL THEN now() END,
                tend_at = CASE WHEN is_expanded THEN now() ELSE tend_at END,
                base_sent = counted.tried, base_failed = counted.failed
FROM (
    SELECT id AS run_id, coalesce(sum(amount) FILTER (WHERE what IN ('sent', 'failed')), 0) AS tried,
           coalesce(sum(amount) FILTER (WHERE what IN ('failed', 'undelivered')), 0) AS failed
    FROM (
        SELECT id FROM runs WHERE id = ANY ($1::text[]) AND state = 'paused' ORDER BY id FOR UPDATE
    ) AS locked LEFT JOIN LATERAL (
        SELECT what, amount FROM run_counts WHERE run_counts.run_id = locked.id
        UNION ALL
        SELECT what, amount FROM run_changes WHERE run_changes.run_id = locked.id
    ) AS line ON true
    GROUP BY id
) AS counted
WHERE runs.id = ANY ($1::text[]) AND runs.id = counted.run_id
RETURNING id

-- name: cancel_runs
-- Takes runs; cancels those that have not ended, locked in order, and returns them.
UPDATE runs SET state = 'canceled', code = NULL, detail = NULL, since = now(),
                tend_at = CASE WHEN kind = 'preflight' THEN tend_at ELSE now() END
WHERE id = ANY (ARRAY(
    SELECT id FROM runs WHERE id = ANY ($1::text[]) AND state IN ('expanding', 'running', 'paused') ORDER BY id FOR UPDATE
))
RETURNING id

-- name: withdraw_holds
-- Takes runs and a limit; deletes what waits of them, skipping locked ones (they are just being released, or looked at), and
-- returns it.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT message_id FROM holds WHERE run_id = ANY ($1::text[]) AND state IN ('waiting', 'blocked') LIMIT $2 FOR UPDATE SKIP LOCKED
))
RETURNING message_id, tenant_id, traceparent, run_id

-- name: unwanted_holds
-- Takes message ids in order with those of their runs; of those whose run is known and not running, or wants another message for
-- its recipient or none, deletes the holds and returns them with the state of the run. Locks the recipients: none ends meanwhile.
WITH unwanted AS MATERIALIZED (
    SELECT told.message_id, run.state
    FROM unnest($1::text[], $2::text[]) AS told (message_id, run_id)
    CROSS JOIN LATERAL (SELECT state FROM runs WHERE runs.id = told.run_id LIMIT 1) AS run
    LEFT JOIN LATERAL (
        SELECT run_id, state FROM recipients WHERE recipients.message_id = told.message_id LIMIT 1 FOR SHARE
    ) AS recipient ON recipient.run_id = told.run_id
    WHERE run.state <> 'running' OR recipient.state IS DISTINCT FROM 'requested'
)
DELETE FROM holds USING unwanted
WHERE holds.message_id = ANY (ARRAY(SELECT message_id FROM unwanted)) AND holds.message_id = unwanted.message_id
  AND holds.state IN ('waiting', 'blocked')
RETURNING holds.message_id, tenant_id, traceparent, run_id, unwanted.state AS run_state

-- name: ready_runs
-- Takes limits, of runs and of those of one tenant; locks the runs to look at, the first of each tenant before the second of any,
-- those that have waited longest first, skipping those another replica looks at; returns them and what time it is.
WITH RECURSIVE tenants AS (
    SELECT (SELECT tenant_id FROM runs WHERE tend_at < 'infinity' ORDER BY tenant_id LIMIT 1) AS tenant_id
    WHERE EXISTS (SELECT FROM runs WHERE tend_at < 'infinity' AND tend_at <= now())
    UNION ALL
    SELECT (SELECT tenant_id FROM runs WHERE tend_at < 'infinity' AND runs.tenant_id > tenants.tenant_id ORDER BY tenant_id LIMIT 1)
    FROM tenants WHERE tenant_id IS NOT NULL
), ready AS MATERIALIZED (
    SELECT run.id, run.tend_at, row_number() OVER (PARTITION BY tenants.tenant_id ORDER BY run.tend_at, run.id) AS turn
    FROM tenants CROSS JOIN LATERAL (
        SELECT id, tend_at FROM runs
        WHERE runs.tenant_id = tenants.tenant_id AND tend_at < 'infinity' AND tend_at <= now()
        ORDER BY tend_at LIMIT $2
    ) AS run
)
SELECT locked.*, now() AS now
FROM (SELECT id FROM ready ORDER BY turn, tend_at, id) AS next CROSS JOIN LATERAL (
    SELECT id, tenant_id, number_id, state, code, detail, since, terms, is_expanded, tokens, paced_at, paced_seconds, base_sent,
           base_failed
    FROM runs
    WHERE runs.id = next.id AND tend_at < 'infinity' AND tend_at <= now()
    FOR UPDATE SKIP LOCKED
) AS locked
LIMIT $1

-- name: weigh_runs
-- Takes locked runs with their numbers, and which have a pace of their own; returns how many of each are in which state, how many
-- should have left an hour ago and have not ended (with a pace: have an unknown outcome), and the number's rate (null: nobody knows
-- it). A statement of its own: that of the lock may see counts from before it.
SELECT run_id, messages_per_second, counted.*, CASE WHEN is_paced THEN (
    SELECT count(*) FROM recipients AS r
    CROSS JOIN LATERAL (SELECT state FROM holds WHERE holds.message_id = r.message_id LIMIT 1) AS hold
    WHERE r.run_id = told.run_id AND r.state = 'requested' AND hold.state = 'unsettled'
) ELSE (
    SELECT count(*) FROM recipients AS r
    WHERE r.run_id = told.run_id AND state = 'requested' AND due_at < now() - interval '1 hour'
) END AS tardy
FROM unnest($1::text[], $2::text[], $3::boolean[]) AS told (run_id, number_id, is_paced)
LEFT JOIN LATERAL (SELECT messages_per_second FROM numbers WHERE numbers.number_id = told.number_id LIMIT 1) AS number ON true
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount) FILTER (WHERE what = 'pending'), 0)::bigint AS pending,
           coalesce(sum(amount) FILTER (WHERE what = 'requested'), 0)::bigint AS requested,
           coalesce(sum(amount) FILTER (WHERE what IN ('sent', 'failed')), 0)::bigint AS tried,
           coalesce(sum(amount) FILTER (WHERE what IN ('failed', 'undelivered')), 0)::bigint AS failed
    FROM (
        SELECT what, amount FROM run_counts WHERE run_counts.run_id = told.run_id
        UNION ALL
        SELECT what, amount FROM run_changes WHERE run_changes.run_id = told.run_id
    ) AS line
) AS counted

-- name: tend_runs
-- Takes locked runs, their states, codes and details, their pace (tokens, as of when, seconds), when to look at each next, and how
-- long before it is due the first that is pending wants a look (null: not at all), as arrays.
UPDATE runs SET
    state = told.state, code = told.code, detail = told.detail, since = CASE WHEN runs.state = told.state THEN since ELSE now() END,
    tokens = told.tokens, paced_at = told.paced_at, paced_seconds = told.paced_seconds,
    tend_at = least(coalesce(told.tend_at, 'infinity'), (
        SELECT due_at - told.lead FROM recipients AS r
        WHERE told.lead IS NOT NULL AND r.run_id = told.run_id AND r.state = 'pending' ORDER BY due_at LIMIT 1
    ))
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::double precision[], $6::timestamptz[], $7::double precision[],
            $8::timestamptz[], $9::interval[])
     AS told (run_id, state, code, detail, tokens, paced_at, paced_seconds, tend_at, lead)
WHERE runs.id = ANY ($1::text[]) AND runs.id = told.run_id

-- name: fold_changes
-- Takes a limit; adds that many lines to the counts, skipping those another replica folds, and has the dispatch look at their runs.
WITH line AS MATERIALIZED (
    DELETE FROM run_changes WHERE id = ANY (ARRAY(SELECT id FROM run_changes ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED))
    RETURNING run_id, what, amount
), added AS (
    INSERT INTO run_counts (run_id, what, amount)
    SELECT run_id, what, sum(amount) FROM line GROUP BY run_id, what ORDER BY run_id, what
    ON CONFLICT (run_id, what) DO UPDATE SET amount = run_counts.amount + excluded.amount
)
SELECT run_id, count(*) AS lines FROM line GROUP BY run_id ORDER BY run_id

-- name: wake_runs
-- Takes runs in order; the dispatch looks at those that are expanded and not ended. Of one that it is just looking at, what counts
-- is when it will next: that is known once it has let go of the row, and it may have weighed the run before the change.
WITH locked AS MATERIALIZED (
    SELECT id AS run_id, tend_at AS next_at FROM runs
    WHERE id = ANY ($1::text[]) AND is_expanded AND state IN ('running', 'paused')
    ORDER BY id FOR UPDATE
)
UPDATE runs SET tend_at = now()
FROM locked
WHERE runs.id = ANY ($1::text[]) AND runs.id = locked.run_id AND next_at > now()

-- name: count_runs
-- Takes runs; returns how many of each are in which state, or were found twice, delivered and so on.
SELECT run_id, what, sum(amount)::bigint AS amount
FROM (
    SELECT run_id, what, amount FROM run_counts WHERE run_id = ANY ($1::text[])
    UNION ALL
    SELECT run_id, what, amount FROM run_changes WHERE run_id = ANY ($1::text[])
) AS line
GROUP BY run_id, what

-- name: old_preflights
-- Takes days and a limit; returns preflights that were opened longer ago, locked, skipping locked ones.
SELECT id FROM runs WHERE kind = 'preflight' AND created_at < now() - make_interval(days => $1)
ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: runs_over
-- Takes days and a limit; returns runs that ended longer ago and have not been forgotten, locked, skipping locked ones.
SELECT id, kind FROM runs
WHERE kind <> 'preflight' AND state IN ('canceled', 'ended', 'failed') AND NOT is_forgotten
  AND since < now() - make_interval(days => $1)
ORDER BY since LIMIT $2 FOR UPDATE SKIP LOCKED

-- name: forget_runs
-- Takes runs that have no recipients; what is left of them is how they ended, and their counts.
UPDATE runs SET is_forgotten = true, asking = '{}' WHERE id = ANY ($1::text[])

-- name: delete_recipients
-- Takes runs and a limit; deletes so many of their recipients.
DELETE FROM recipients WHERE ctid = ANY (ARRAY(SELECT ctid FROM recipients WHERE run_id = ANY ($1::text[]) LIMIT $2))

-- name: delete_runs
-- Takes runs that have no recipients; deletes them with their counts.
WITH counts AS (
    DELETE FROM run_counts WHERE run_id = ANY ($1::text[])
), changes AS (
    DELETE FROM run_changes WHERE run_id = ANY ($1::text[])
)
DELETE FROM runs WHERE id = ANY ($1::text[])
