-- name: insert_recipients
-- Takes a run and columns as arrays; writes those whose phone it has not yet, counts them by state, and returns how many they are.
-- The others are counted as duplicates.
WITH added AS (
    INSERT INTO recipients (run_id, position, phone, contact_id, zone, variant, content, due_at, expires_at, state, code, detail,
                            ended_at)
    SELECT $1, position, phone, contact_id, zone, variant, content, due_at, expires_at, state, code, detail,
           CASE WHEN state <> 'pending' THEN now() END
    FROM unnest($2::bigint[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::timestamptz[], $9::timestamptz[],
                $10::text[], $11::text[], $12::text[])
         AS t (position, phone, contact_id, zone, variant, content, due_at, expires_at, state, code, detail)
    ON CONFLICT DO NOTHING
    RETURNING state
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT $1, state, count(*) FROM added GROUP BY state
    UNION ALL
    SELECT $1, 'duplicates', again FROM (SELECT cardinality($2::bigint[]) - count(*) AS again FROM added) AS n WHERE again > 0
)
SELECT count(*) FROM added

-- name: take_pending
-- Takes locked runs, how many of each, and how long before they are due, as arrays; returns those that are next, in due order.
SELECT told.run_id, next.*
FROM unnest($1::text[], $2::integer[], $3::interval[]) AS told (run_id, most, lead) CROSS JOIN LATERAL (
    SELECT position, phone, contact_id, zone, content, due_at, expires_at FROM recipients AS r
    WHERE r.run_id = told.run_id AND state = 'pending' AND due_at <= now() + told.lead
    ORDER BY due_at, position LIMIT told.most
) AS next

-- name: request_recipients
-- Takes runs, positions, message ids and times to leave as arrays, of locked runs; those that are pending are requested.
WITH found AS MATERIALIZED (
    SELECT place, told.*
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::timestamptz[]) AS told (run_id, position, message_id, due_at)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM recipients AS r
        WHERE r.run_id = told.run_id AND r.position = told.position AND state = 'pending' FOR UPDATE
    ) AS r
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT run_id, what, amount * sign
    FROM (SELECT run_id, count(*) AS amount FROM found GROUP BY run_id) AS n
    CROSS JOIN (VALUES ('pending', -1), ('requested', 1)) AS way (what, sign)
)
UPDATE recipients SET state = 'requested', message_id = found.message_id, due_at = found.due_at
FROM found WHERE recipients.ctid = ANY (ARRAY(SELECT place FROM found)) AND recipients.ctid = found.place

-- name: postpone_recipients
-- Takes runs, positions and times to leave as arrays, of locked runs; those that are pending wait until then.
WITH found AS MATERIALIZED (
    SELECT place, told.due_at
    FROM unnest($1::text[], $2::bigint[], $3::timestamptz[]) AS told (run_id, position, due_at) CROSS JOIN LATERAL (
        SELECT ctid AS place FROM recipients AS r
        WHERE r.run_id = told.run_id AND r.position = told.position AND state = 'pending' FOR UPDATE
    ) AS r
)
UPDATE recipients SET due_at = found.due_at
FROM found WHERE recipients.ctid = ANY (ARRAY(SELECT place FROM found)) AND recipients.ctid = found.place

-- name: end_recipients
-- Takes runs and positions as arrays, a state and a code, of locked runs; those that are pending end in it.
WITH found AS MATERIALIZED (
    SELECT place, told.run_id
    FROM unnest($1::text[], $2::bigint[]) AS told (run_id, position) CROSS JOIN LATERAL (
        SELECT ctid AS place FROM recipients AS r
        WHERE r.run_id = told.run_id AND r.position = told.position AND state = 'pending' FOR UPDATE
    ) AS r
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT run_id, what, amount * sign
    FROM (SELECT run_id, count(*) AS amount FROM found GROUP BY run_id) AS n
    CROSS JOIN (VALUES ('pending', -1), ($3, 1)) AS way (what, sign)
)
UPDATE recipients SET state = $3, code = $4, content = NULL, ended_at = now()
WHERE ctid = ANY (ARRAY(SELECT place FROM found))

-- name: cancel_pending
-- Takes locked runs, a code and a limit; so many of those that are pending end as canceled. Returns how many.
WITH found AS MATERIALIZED (
    SELECT ctid AS place, run_id FROM recipients WHERE run_id = ANY ($1::text[]) AND state = 'pending' LIMIT $3 FOR UPDATE
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT run_id, what, amount * sign
    FROM (SELECT run_id, count(*) AS amount FROM found GROUP BY run_id) AS n
    CROSS JOIN (VALUES ('pending', -1), ('canceled', 1)) AS way (what, sign)
), ended AS (
    UPDATE recipients SET state = 'canceled', code = $2, content = NULL, ended_at = now()
    WHERE ctid = ANY (ARRAY(SELECT place FROM found))
)
SELECT count(*) FROM found

-- name: return_recipients
-- Takes runs and message ids as arrays, each message once and in order; those that are requested under them are pending again. A
-- recipient is looked for by its message and by nothing else: by its run and state it would be one of a million. Hence the limit.
WITH found AS MATERIALIZED (
    SELECT told.message_id, told.run_id
    FROM unnest($1::text[], $2::text[]) AS told (run_id, message_id) CROSS JOIN LATERAL (
        SELECT run_id, state FROM recipients WHERE recipients.message_id = told.message_id LIMIT 1 FOR UPDATE
    ) AS r
    WHERE r.run_id = told.run_id AND r.state = 'requested'
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT run_id, what, amount * sign
    FROM (SELECT run_id, count(*) AS amount FROM found GROUP BY run_id) AS n
    CROSS JOIN (VALUES ('requested', -1), ('pending', 1)) AS way (what, sign)
)
UPDATE recipients SET state = 'pending', message_id = NULL
WHERE message_id = ANY (ARRAY(SELECT message_id FROM found))

-- name: lock_requested
-- Takes message ids in order; locks the recipients that are requested under them and returns the ids.
SELECT told.message_id FROM unnest($1::text[]) AS told (message_id) CROSS JOIN LATERAL (
    SELECT state FROM recipients WHERE recipients.message_id = told.message_id LIMIT 1 FOR UPDATE
) AS r
WHERE r.state = 'requested'

-- name: conclude_recipients
-- Takes runs, message ids, states, codes and details as arrays, each message once and in order; those that are requested under them
-- end so, and of those that were given up as unknown it is corrected whether they were sent. Looked for as in `return_recipients`.
WITH found AS MATERIALIZED (
    SELECT told.*, r.state AS former
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) AS told (run_id, message_id, state, code, detail)
    CROSS JOIN LATERAL (
        SELECT run_id, state FROM recipients WHERE recipients.message_id = told.message_id LIMIT 1 FOR UPDATE
    ) AS r
    WHERE r.run_id = told.run_id
      AND (r.state = 'requested' OR (r.state = 'unknown' AND told.state IN ('sent', 'failed')))
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT run_id, state, count(*) FROM found GROUP BY run_id, state
    UNION ALL
    SELECT run_id, former, -count(*) FROM found GROUP BY run_id, former
)
UPDATE recipients SET state = found.state, code = found.code, detail = found.detail, content = NULL, ended_at = now()
FROM found
WHERE recipients.message_id = ANY (ARRAY(SELECT message_id FROM found)) AND recipients.message_id = found.message_id

-- name: report_recipients
-- Takes runs, message ids and the moments at which they were delivered, read and failed (null: not told) as arrays, each message
-- once and in order. The first report of each kind counts.
WITH found AS MATERIALIZED (
    SELECT told.*, r.delivered_at AS was_delivered, r.read_at AS was_read, r.failed_at AS had_failed
    FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[])
         AS told (run_id, message_id, delivered_at, read_at, failed_at)
    CROSS JOIN LATERAL (
        SELECT run_id, delivered_at, read_at, failed_at FROM recipients
        WHERE recipients.message_id = told.message_id LIMIT 1 FOR UPDATE
    ) AS r
    WHERE r.run_id = told.run_id
), counted AS (
    INSERT INTO run_changes (run_id, what, amount)
    SELECT run_id, what, count(*)
    FROM found CROSS JOIN LATERAL (VALUES
        ('delivered', was_delivered IS NULL AND delivered_at IS NOT NULL), ('read', was_read IS NULL AND read_at IS NOT NULL),
        ('undelivered', had_failed IS NULL AND failed_at IS NOT NULL)
    ) AS news (what, is_new)
    WHERE is_new GROUP BY run_id, what
)
UPDATE recipients SET delivered_at = coalesce(recipients.delivered_at, found.delivered_at),
                      read_at = coalesce(recipients.read_at, found.read_at),
                      failed_at = coalesce(recipients.failed_at, found.failed_at)
FROM found
WHERE recipients.message_id = ANY (ARRAY(SELECT message_id FROM found)) AND recipients.message_id = found.message_id

-- name: list_recipients
-- Takes a run, a state or null for any, the position after which to begin and a limit; returns recipients by position.
SELECT position, phone, contact_id, zone, variant, due_at, state, code, detail, message_id, ended_at, delivered_at, read_at,
       failed_at
FROM recipients
WHERE run_id = $1 AND position > $3 AND ($2::text IS NULL OR state = $2)
ORDER BY position LIMIT $4
