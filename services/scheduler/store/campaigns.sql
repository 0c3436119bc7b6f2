-- name: insert_campaign
-- Takes a draft's columns.
INSERT INTO campaigns (id, tenant_id, name, definition, history, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $6)

-- name: lock_campaign
-- Takes a tenant and one of its campaigns; locks the campaign and returns its run.
SELECT run_id FROM campaigns WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: lock_run_of_campaign
-- Takes the run of a locked campaign and locks it, so that it neither ends nor is paused meanwhile.
SELECT id FROM runs WHERE id = $1 FOR UPDATE

-- name: select_campaign
-- Takes a tenant and one of its campaigns; returns it with the state of its run.
SELECT campaigns.*, runs.state AS run_state, runs.code AS run_code, runs.detail AS run_detail, runs.since AS run_since
FROM campaigns LEFT JOIN runs ON runs.id = campaigns.run_id
WHERE campaigns.tenant_id = $1 AND campaigns.id = $2

-- name: select_campaigns
-- Takes a tenant, an id before which they stand, a limit, a state (null: any) and the time that it is; returns campaigns without their
-- definitions, the latest first. What a state is says `domain/campaign.py` (`state_of`).
SELECT * FROM (
    SELECT campaigns.id, name, run_id, campaigns.created_at, updated_at,
           CASE WHEN run_id IS NULL THEN 'draft'
                WHEN runs.state = 'expanding' OR (runs.state = 'running' AND first_due_at > $5) THEN 'starting'
                WHEN runs.state = 'ended' THEN 'completed'
                ELSE runs.state END AS state
    FROM campaigns LEFT JOIN runs ON runs.id = run_id
    WHERE campaigns.tenant_id = $1 AND campaigns.id < $2
) AS known
WHERE $4::text IS NULL OR state = $4
ORDER BY id DESC LIMIT $3

-- name: update_campaign
-- Takes a locked campaign with all that can change of it.
UPDATE campaigns SET name = $2, definition = $3, history = $4, run_id = $5, preflight_run_id = $6, first_due_at = $7,
                     updated_at = $8
WHERE id = $1

-- name: delete_campaign
-- Takes a locked draft.
DELETE FROM campaigns WHERE id = $1

-- name: numbers_of_tenant
-- Takes a tenant; returns its numbers with what limits them.
SELECT number_id, messages_per_second, paused, account_id, portfolio_id, unique_users_per_day,
       enforces_windows AND window_known_from <= now() AS enforces_windows
FROM numbers WHERE tenant_id = $1 ORDER BY number_id

-- name: pace_of_run
-- Takes a run; returns its state and what its pace goes by.
SELECT id, state, code, detail, since, number_id, is_expanded, paced_seconds, base_sent, terms FROM runs WHERE id = $1

-- name: waiting_zones
-- Takes a run and a limit; returns how many wait in which zone, of as many as the limit says.
SELECT zone, count(*) AS waiting FROM (
    SELECT zone FROM recipients WHERE run_id = $1 AND state IN ('pending', 'requested') LIMIT $2
) AS looked_at GROUP BY zone

-- name: unknown_outcomes_of_run
-- Takes a run; returns of how many of its messages the outcome is not known.
SELECT count(*) FROM recipients AS r
CROSS JOIN LATERAL (SELECT state FROM holds WHERE holds.message_id = r.message_id LIMIT 1) AS hold
WHERE r.run_id = $1 AND r.state = 'requested' AND hold.state = 'unsettled'

-- name: faults_of_run
-- Takes a run; returns what its recipients were rejected for when they were found, and how often.
SELECT code, detail, count(*) AS recipients FROM recipients
WHERE run_id = $1 AND state = 'rejected'
GROUP BY code, detail ORDER BY count(*) DESC, code, detail LIMIT 1000

-- name: closed_windows_of_run
-- Takes a run, a number and a limit; of as many waiting recipients as the limit says, returns how many have not written to the
-- number within a day, and how many were looked at.
SELECT count(*) FILTER (WHERE last_inbound_at IS NULL) AS closed, count(*) AS seen
FROM (
    SELECT phone FROM recipients WHERE run_id = $1 AND state IN ('pending', 'requested') LIMIT $3
) AS looked_at LEFT JOIN LATERAL (
    SELECT last_inbound_at FROM windows
    WHERE number_id = $2 AND windows.phone = looked_at.phone AND last_inbound_at > now() - interval '24 hours'
) AS inbound ON true

-- name: held_templates
-- Takes an account and templates; returns those that cannot be sent now, with the code of the reason.
SELECT template, held FROM templates WHERE account_id = $1 AND template = ANY ($2::text[]) AND held IS NOT NULL

-- name: variants_of_run
-- Takes a run; returns for each variant how many recipients it has and what became of them.
SELECT variant, count(*) AS recipients,
       count(*) FILTER (WHERE state = 'sent') AS sent,
       count(delivered_at) AS delivered,
       count(read_at) AS read,
       count(*) FILTER (WHERE state NOT IN ('pending', 'requested', 'sent')) AS failed
FROM recipients WHERE run_id = $1 GROUP BY variant ORDER BY variant

-- name: failures_of_run
-- Takes a run and a limit; returns in which states but sent its recipients have ended, for which reasons, the most frequent first.
-- Those whom the provider took and could not reach are `undelivered`.
SELECT CASE state WHEN 'sent' THEN 'undelivered' ELSE state END AS state, code, count(*) AS recipients FROM recipients
WHERE run_id = $1 AND state NOT IN ('pending', 'requested') AND (state <> 'sent' OR failed_at IS NOT NULL)
GROUP BY 1, code ORDER BY count(*) DESC, 1, code LIMIT $2

-- name: series_of_run
-- Takes a run, the unit of an interval and a limit; returns what happened in each interval in which anything did, the latest first.
SELECT date_trunc($2, event.at, 'UTC') AS at,
       count(*) FILTER (WHERE what = 'sent') AS sent,
       count(*) FILTER (WHERE what = 'failed') AS failed,
       count(*) FILTER (WHERE what = 'delivered') AS delivered,
       count(*) FILTER (WHERE what = 'read') AS read
FROM recipients CROSS JOIN LATERAL (
    VALUES (CASE state WHEN 'sent' THEN 'sent' ELSE 'failed' END, ended_at), ('delivered', delivered_at), ('read', read_at)
) AS event (what, at)
WHERE run_id = $1 AND event.at IS NOT NULL
GROUP BY 1 ORDER BY 1 DESC LIMIT $3
