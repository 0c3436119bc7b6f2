-- name: upsert_number
-- Takes a number's record; an older revision changes nothing.
INSERT INTO numbers (number_id, tenant_id, revision, phone_number_id, provider_url, sealed_access_token, messages_per_second,
                     provider, account_id, display_number, callback_url, profile, calls_per_hour, portfolio_id,
                     unique_users_per_day, paused)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (number_id) DO UPDATE
SET revision = excluded.revision, phone_number_id = excluded.phone_number_id, provider_url = excluded.provider_url,
    sealed_access_token = excluded.sealed_access_token, messages_per_second = excluded.messages_per_second,
    provider = excluded.provider, account_id = excluded.account_id, display_number = excluded.display_number,
    callback_url = excluded.callback_url, profile = excluded.profile, calls_per_hour = excluded.calls_per_hour,
    portfolio_id = excluded.portfolio_id, unique_users_per_day = excluded.unique_users_per_day, paused = excluded.paused
WHERE numbers.revision < excluded.revision

-- name: select_numbers
-- Takes number ids; returns their records.
SELECT * FROM numbers WHERE number_id = ANY($1::text[])

-- name: select_paused_templates
-- Takes accounts; returns their templates that rest, with the reason and the seconds that are left.
SELECT account, name, language, code, extract(epoch FROM until - now())::float8 AS seconds
FROM paused_templates WHERE account = ANY($1::text[]) AND until > now()

-- name: pause_templates
-- Takes accounts, names, languages, seconds and codes as arrays, each template once; the longer rest counts.
INSERT INTO paused_templates (account, name, language, until, code)
SELECT account, name, language, now() + make_interval(secs => seconds), code
FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[], $5::text[]) AS t (account, name, language, seconds, code)
ORDER BY account, name, language
ON CONFLICT (account, name, language) DO UPDATE
SET until = greatest(paused_templates.until, excluded.until), code = excluded.code

-- name: prune_templates
-- Forgets the templates whose rest is over.
DELETE FROM paused_templates WHERE until < now()

-- name: claim_attempts
-- Takes an array of attempts, the instance and the lease in seconds; returns the ids of those nobody had claimed, and of those this
-- instance had claimed and does not hold: the answer to an earlier claim's commit was lost. The array is JSON, here and where outcomes
-- are recorded, because asyncpg takes three times as long over arrays of PostgreSQL's (docs/decisions/0009).
INSERT INTO attempts (message_id, attempt, tenant_id, number_id, traceparent, on_unknown, released_at, instance, lease_until)
SELECT a->>0, (a->>1)::integer, a->>2, a->>3, a->>4, a->>5, (a->>6)::timestamptz, $2, now() + make_interval(secs => $3)
FROM jsonb_array_elements($1::jsonb) AS t (a)
ORDER BY a->>0, (a->>1)::integer
ON CONFLICT (message_id, attempt) DO UPDATE SET lease_until = excluded.lease_until
WHERE attempts.state = 'submitting' AND attempts.instance = excluded.instance
RETURNING message_id, attempt

-- name: defer_attempts
-- Takes attempts as arrays with the time to try again and the reason, and the instance; returns the ids of those that were new.
INSERT INTO attempts (message_id, attempt, tenant_id, number_id, traceparent, released_at, retry_at, code, instance, lease_until,
                      state, counted, settled_at)
SELECT message_id, attempt, tenant_id, number_id, traceparent, released_at, retry_at, code, $9, now(), 'deferred', false, now()
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::timestamptz[], $8::text[])
    AS t (message_id, attempt, tenant_id, number_id, traceparent, released_at, retry_at, code)
ORDER BY message_id, attempt
ON CONFLICT (message_id, attempt) DO NOTHING
RETURNING message_id, attempt

-- name: settled_attempts
-- Takes attempt ids; returns the outcome of those that have one.
SELECT a.message_id, a.attempt, a.tenant_id, a.traceparent, a.started_at, a.released_at, a.state, a.wamid, a.code, a.detail,
       a.retry_at, a.counted
FROM attempts a JOIN unnest($1::text[], $2::integer[]) AS t (message_id, attempt)
    ON a.message_id = t.message_id AND a.attempt = t.attempt
WHERE a.state <> 'submitting'

-- name: record_outcomes
-- Takes an array of attempts with state, wamid, code, detail, retry time, whether it counts, and when the call began, and how many
-- they are; a sent or failed attempt stays as it is. Returns the ids of those changed. The limit has the plan made for ten rows, as one
-- of arrays is: made for a hundred while the table is new, it reads the whole table each time, and is kept when it has grown.
UPDATE attempts
SET state = t.e->>2, wamid = t.e->>3, code = t.e->>4, detail = t.e->>5, retry_at = (t.e->>6)::timestamptz,
    counted = (t.e->>7)::boolean, started_at = (t.e->>8)::timestamptz, settled_at = now()
FROM (SELECT jsonb_array_elements($1::jsonb) LIMIT $2) AS t (e)
WHERE attempts.message_id = t.e->>0 AND attempts.attempt = (t.e->>1)::integer AND attempts.state IN ('submitting', 'unknown')
RETURNING attempts.message_id, attempts.attempt

-- name: settle_by_report
-- Takes attempts with the wamid of a report; settles those that were open, or put back because nobody had reported, and returns
-- them. The rest is not touched.
UPDATE attempts SET state = 'sent', wamid = t.wamid, code = NULL, settled_at = now()
FROM unnest($1::text[], $2::integer[], $3::text[]) AS t (message_id, attempt, wamid)
WHERE attempts.message_id = t.message_id AND attempts.attempt = t.attempt
  AND (attempts.state IN ('submitting', 'unknown') OR attempts.code = 'unknown.resent')
RETURNING attempts.message_id, attempts.attempt, attempts.tenant_id, attempts.traceparent, attempts.started_at,
          attempts.released_at, attempts.wamid

-- name: open_attempts_of
-- Takes an instance that is gone; locks and returns what it left open.
SELECT message_id, attempt, tenant_id, traceparent, started_at, released_at FROM attempts
WHERE instance = $1 AND state = 'submitting'
ORDER BY message_id, attempt FOR UPDATE SKIP LOCKED

-- name: expired_attempts
-- Takes a limit; locks and returns attempts whose sender has not been heard of within their lease.
SELECT message_id, attempt, tenant_id, traceparent, started_at, released_at FROM attempts
WHERE state = 'submitting' AND lease_until < now()
ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: resend_unknown
-- Takes the grace time in seconds and a limit; puts attempts back, to be made again, whose policy is that and on which nobody has
-- reported; a message's second unknown outcome stays. Returns them.
UPDATE attempts SET state = 'deferred', code = 'unknown.resent', retry_at = now(), settled_at = now()
WHERE (message_id, attempt) IN (
    SELECT message_id, attempt FROM attempts AS a
    WHERE state = 'unknown' AND code <> 'unknown.unconfirmed' AND on_unknown = 'resend'
      AND settled_at < now() - make_interval(secs => $1)
      AND NOT EXISTS (
          SELECT FROM attempts AS b WHERE b.message_id = a.message_id AND b.attempt < a.attempt AND b.code = 'unknown.resent'
      )
    ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, attempt, tenant_id, traceparent, started_at, released_at, retry_at

-- name: tell_unconfirmed
-- Takes the grace time in seconds and a limit; marks attempts on which nobody has reported and that are not made again; returns them.
UPDATE attempts SET code = 'unknown.unconfirmed'
WHERE (message_id, attempt) IN (
    SELECT message_id, attempt FROM attempts AS a
    WHERE state = 'unknown' AND code <> 'unknown.unconfirmed' AND settled_at < now() - make_interval(secs => $1)
      AND (on_unknown = 'wait' OR EXISTS (
          SELECT FROM attempts AS b WHERE b.message_id = a.message_id AND b.attempt < a.attempt AND b.code = 'unknown.resent'
      ))
    ORDER BY settled_at LIMIT $2 FOR UPDATE SKIP LOCKED
)
RETURNING message_id, attempt, tenant_id, traceparent, started_at, released_at

-- name: prune_attempts
-- Takes days and a limit; deletes settled attempts that began longer ago: no report of theirs can come any more.
DELETE FROM attempts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM attempts WHERE started_at < now() - make_interval(days => $1) AND state <> 'submitting' LIMIT $2
))
