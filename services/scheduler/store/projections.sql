-- name: upsert_consent
-- Takes tenants, phones, scopes (null: they want to be written to) and times as arrays, each phone once and in order; of two about
-- one phone the later counts, whichever is told first. Of people who were erased and want to be written to again, what was kept goes.
WITH again AS (
    DELETE FROM kept_suppressions WHERE EXISTS (SELECT FROM kept_suppressions) AND ctid = ANY (ARRAY(
        SELECT kept.place
        FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[]) AS told (tenant_id, phone, scope, changed_at)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM kept_suppressions AS k
            WHERE k.tenant_id = told.tenant_id AND k.changed_at < told.changed_at
              AND k.digest = sha256((SELECT key FROM digest_key WHERE is_only) || convert_to(told.phone, 'UTF8'))
            LIMIT 1
        ) AS kept
        WHERE told.scope IS NULL
    ))
)
INSERT INTO suppressions (tenant_id, phone, scope, changed_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])
ON CONFLICT (tenant_id, phone) DO UPDATE SET scope = excluded.scope, changed_at = excluded.changed_at, told_at = now()
WHERE suppressions.changed_at < excluded.changed_at

-- name: suppress_later
-- Takes tenants and phones as arrays; deletes what waits for longer than a moment for those of them that are suppressed, skipping
-- locked ones (they are just being released, canceled or looked at), and returns it. One phone's holds are read by their index.
DELETE FROM holds WHERE message_id = ANY (ARRAY(
    SELECT later.message_id
    FROM unnest($1::text[], $2::text[]) AS told (tenant_id, phone) CROSS JOIN LATERAL (
        SELECT scope FROM suppressions AS s
        WHERE s.tenant_id = told.tenant_id AND s.phone = told.phone AND scope IS NOT NULL
        LIMIT 1
    ) AS wanted CROSS JOIN LATERAL (
        SELECT message_id FROM holds
        WHERE holds.tenant_id = told.tenant_id AND recipient COLLATE "C" = told.phone AND state IN ('waiting', 'blocked')
          AND is_later AND needs_consent AND (wanted.scope = 'all' OR (
            SELECT category FROM templates AS t
            WHERE t.account_id = (SELECT account_id FROM numbers WHERE numbers.number_id = holds.number_id)
              AND t.template = holds.template
          ) = 'marketing')
        FOR UPDATE SKIP LOCKED
    ) AS later
))
RETURNING message_id, tenant_id, traceparent, run_id

-- name: prune_lifted
-- Takes days and a limit; forgets those who opted in and were told longer ago.
DELETE FROM suppressions WHERE (tenant_id, phone) IN (
    SELECT tenant_id, phone FROM suppressions WHERE scope IS NULL AND told_at < now() - make_interval(days => $1)
    ORDER BY told_at LIMIT $2 FOR UPDATE SKIP LOCKED
)

-- name: upsert_windows
-- Takes numbers, phones and times as arrays, each pair once and in order; the latest time counts.
INSERT INTO windows (number_id, phone, last_inbound_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (number_id, phone) DO UPDATE SET last_inbound_at = excluded.last_inbound_at
WHERE windows.last_inbound_at < excluded.last_inbound_at

-- name: prune_windows
-- Takes a limit; forgets windows that closed more than an hour ago, skipping those that are just being opened again.
DELETE FROM windows WHERE (number_id, phone) IN (
    SELECT number_id, phone FROM windows WHERE last_inbound_at < now() - interval '25 hours'
    ORDER BY last_inbound_at LIMIT $1 FOR UPDATE SKIP LOCKED
)

-- name: upsert_templates
-- Takes accounts, templates, categories, codes and times as arrays, each template once and in order; of two about one template the
-- later counts, whichever is told first.
INSERT INTO templates (account_id, template, category, held, changed_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
ON CONFLICT (account_id, template) DO UPDATE
SET category = excluded.category, held = excluded.held, changed_at = excluded.changed_at
WHERE templates.changed_at < excluded.changed_at

-- name: unblock_holds
-- Takes accounts and templates as arrays and a limit; puts back what waits for those of them that can be sent, skipping locked
-- ones.
UPDATE holds SET state = 'waiting', code = NULL, first_due_at = now() WHERE message_id = ANY (ARRAY(
    SELECT blocked.message_id
    FROM unnest($1::text[], $2::text[]) AS told (account_id, template) CROSS JOIN LATERAL (
        SELECT FROM templates AS t WHERE t.account_id = told.account_id AND t.template = told.template AND held IS NULL LIMIT 1
    ) AS sendable CROSS JOIN LATERAL (
        SELECT message_id FROM holds
        WHERE holds.template = told.template AND code IS NOT NULL AND state = 'blocked'
          AND number_id IN (SELECT number_id FROM numbers WHERE account_id = told.account_id)
        LIMIT $3 FOR UPDATE SKIP LOCKED
    ) AS blocked
    LIMIT $3
))
