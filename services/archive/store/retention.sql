-- name: retention
-- Takes a tenant; gives for how many days its entries are kept, and what that has taken away so far.
SELECT (SELECT days FROM retention WHERE retention.tenant_no = tenants.tenant_no) AS days,
       coalesce(removed.entries, 0) AS removed_entries, removed.last_at AS removed_at
FROM tenants
CROSS JOIN LATERAL (
    SELECT sum(entries)::bigint AS entries, max(last_at) AS last_at
    FROM retention_removals
    WHERE retention_removals.tenant_no = tenants.tenant_no
) AS removed
WHERE tenants.tenant_id = $1

-- name: set_retention
-- Takes a tenant's number, the days or NULL, and who says so.
INSERT INTO retention (tenant_no, days, changed_by) VALUES ($1, $2, $3)
ON CONFLICT (tenant_no) DO UPDATE SET days = excluded.days, changed_by = excluded.changed_by, changed_at = now()

-- name: claim_overdue
-- Takes now and the moment before which nobody's entries are kept, or NULL; locks a tenant that has entries from before its own
-- moment, leaving out those that others have locked; gives its number, id and moment.
SELECT tenants.tenant_no, tenants.tenant_id, kept.since
FROM tenants
LEFT JOIN retention USING (tenant_no)
CROSS JOIN LATERAL (
    SELECT greatest($1::timestamptz - make_interval(days => retention.days), $2::timestamptz) AS since
) AS kept
WHERE EXISTS (
    SELECT FROM search_rows WHERE search_rows.tenant_no = tenants.tenant_no AND search_rows.sent_at < kept.since
)
ORDER BY tenants.tenant_no
LIMIT 1
FOR UPDATE OF tenants SKIP LOCKED

-- name: overdue_entries
-- Takes a tenant's number, a moment and a limit; gives the tenant's oldest entries from before.
SELECT entry_id, sent_at
FROM search_rows
WHERE tenant_no = $1 AND sent_at < $2
ORDER BY sent_at, row_no
LIMIT $3

-- name: count_removed
-- Takes a tenant's number, now, and how many entries were removed.
INSERT INTO retention_removals AS known (tenant_no, day, entries, last_at)
VALUES ($1, ($2::timestamptz AT TIME ZONE 'UTC')::date, $3, $2)
ON CONFLICT (tenant_no, day) DO UPDATE SET entries = known.entries + excluded.entries, last_at = excluded.last_at

-- name: drop_empty_month
-- Takes a moment; drops one month without entries that ended before, and gives its first day. Nothing where there is none, and while
-- another replica is about it: one would meet what the other has just dropped.
SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('archive.drop_empty_month', 0)) THEN drop_empty_month($1) END

-- name: forget_empty_conversations
-- Takes a limit; deletes so many conversations that have had no entry for a day since they were made, with who spoke in them. One
-- that is found again meanwhile is kept: its row is locked. So is one that an import has opened, and has not stored into yet.
WITH empty AS MATERIALIZED (
    SELECT id, conversation_no
    FROM conversations
    WHERE last_entry_at IS NULL AND created_at < now() - interval '1 day'
      AND NOT EXISTS (SELECT FROM imports WHERE imports.conversation_id = conversations.id AND imports.state = 'importing')
    ORDER BY created_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), speaker AS (
    DELETE FROM participants USING empty WHERE participants.conversation_no = empty.conversation_no
)
DELETE FROM conversations USING empty WHERE conversations.id = empty.id
