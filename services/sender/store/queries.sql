-- name: upsert_number
-- Takes a number's record; an older revision changes nothing.
INSERT INTO numbers (number_id, tenant_id, revision, phone_number_id, provider_url, sealed_access_token, messages_per_second)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (number_id) DO UPDATE
SET revision = excluded.revision, phone_number_id = excluded.phone_number_id, provider_url = excluded.provider_url,
    sealed_access_token = excluded.sealed_access_token, messages_per_second = excluded.messages_per_second
WHERE numbers.revision < excluded.revision

-- name: select_numbers
-- Takes number ids; returns their records.
SELECT number_id, tenant_id, phone_number_id, provider_url, sealed_access_token, messages_per_second
FROM numbers WHERE number_id = ANY($1::text[])

-- name: claim_attempts
-- Takes attempts as arrays, the instance and the lease in seconds; returns the ids of those nobody had claimed, and of those this
-- instance had claimed and does not hold: the answer to an earlier claim's commit was lost.
INSERT INTO attempts (message_id, attempt, tenant_id, number_id, traceparent, instance, lease_until)
SELECT message_id, attempt, tenant_id, number_id, traceparent, $6, now() + make_interval(secs => $7)
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[])
    AS t (message_id, attempt, tenant_id, number_id, traceparent)
ORDER BY message_id, attempt
ON CONFLICT (message_id, attempt) DO UPDATE SET lease_until = excluded.lease_until
WHERE attempts.state = 'submitting' AND attempts.instance = excluded.instance
RETURNING message_id, attempt

-- name: defer_attempts
-- Takes attempts as arrays with the time to try again, the instance and the reason; returns the ids of those that were new.
INSERT INTO attempts (message_id, attempt, tenant_id, number_id, traceparent, retry_at, instance, lease_until, state, code, counted,
                      settled_at)
SELECT message_id, attempt, tenant_id, number_id, traceparent, retry_at, $7, now(), 'deferred', $8, false, now()
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::timestamptz[])
    AS t (message_id, attempt, tenant_id, number_id, traceparent, retry_at)
ORDER BY message_id, attempt
ON CONFLICT (message_id, attempt) DO NOTHING
RETURNING message_id, attempt

-- name: settled_attempts
-- Takes attempt ids; returns the outcome of those that have one.
SELECT a.message_id, a.attempt, a.tenant_id, a.traceparent, a.state, a.wamid, a.code, a.detail, a.retry_at, a.counted, a.started_at
FROM attempts a JOIN unnest($1::text[], $2::integer[]) AS t (message_id, attempt)
    ON a.message_id = t.message_id AND a.attempt = t.attempt
WHERE a.state <> 'submitting'

-- name: record_outcomes
-- Takes attempts with state, wamid, code, detail, retry time, whether it counts, and when the call began; a sent or failed attempt
-- stays as it is. Returns the ids of those changed.
UPDATE attempts
SET state = t.state, wamid = t.wamid, code = t.code, detail = t.detail, retry_at = t.retry_at, counted = t.counted,
    started_at = t.started_at, settled_at = now()
FROM unnest($1::text[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[],
            $9::timestamptz[])
    AS t (message_id, attempt, state, wamid, code, detail, retry_at, counted, started_at)
WHERE attempts.message_id = t.message_id AND attempts.attempt = t.attempt AND attempts.state IN ('submitting', 'unknown')
RETURNING attempts.message_id, attempts.attempt

-- name: settle_by_report
-- Takes attempts with the wamid of a report; settles those that were open and returns them. The rest is not touched.
UPDATE attempts SET state = 'sent', wamid = t.wamid, settled_at = now()
FROM unnest($1::text[], $2::integer[], $3::text[]) AS t (message_id, attempt, wamid)
WHERE attempts.message_id = t.message_id AND attempts.attempt = t.attempt AND attempts.state IN ('submitting', 'unknown')
RETURNING attempts.message_id, attempts.attempt, attempts.tenant_id, attempts.traceparent, attempts.wamid, attempts.started_at

-- name: open_attempts_of
-- Takes an instance that is gone; locks and returns what it left open.
SELECT message_id, attempt, tenant_id, traceparent, started_at FROM attempts
WHERE instance = $1 AND state = 'submitting'
ORDER BY message_id, attempt FOR UPDATE SKIP LOCKED

-- name: expired_attempts
-- Takes a limit; locks and returns attempts whose sender has not been heard of within their lease.
SELECT message_id, attempt, tenant_id, traceparent, started_at FROM attempts
WHERE state = 'submitting' AND lease_until < now()
ORDER BY lease_until LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: prune_attempts
-- Takes days and a limit; deletes settled attempts that began longer ago: no report of theirs can come any more.
DELETE FROM attempts WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM attempts WHERE started_at < now() - make_interval(days => $1) AND state <> 'submitting' LIMIT $2
))
