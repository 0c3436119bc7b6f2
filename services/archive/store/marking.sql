-- name: lock_conversation
-- Takes the tenant and a conversation; locks it.
SELECT FROM conversations WHERE tenant_id = $1 AND id = $2 FOR NO KEY UPDATE

-- name: mark_read
-- Takes the tenant, a conversation and a moment, NULL for the last entry's; gives how far it was read and what is unread, nothing
-- where the tenant has no such conversation. It never goes back, and never beyond what is there. The conversation must be locked
-- before the statement begins: else what is recorded meanwhile is not counted.
WITH known AS MATERIALIZED (
    SELECT id, conversation_no, unread_count, last_entry_at, least(coalesce($3::timestamptz, last_entry_at), last_entry_at) AS until
    FROM conversations
    WHERE tenant_id = $1 AND id = $2 AND last_entry_at IS NOT NULL
)
UPDATE conversations
SET read_until = greatest(conversations.read_until, known.until),
    unread_count = CASE WHEN known.until = known.last_entry_at THEN 0 ELSE (
        SELECT count(*)
        FROM (
            SELECT FROM search_rows
            WHERE search_rows.conversation_no = known.conversation_no
              AND search_rows.sent_at > known.until
              AND NOT search_rows.is_outgoing
            LIMIT known.unread_count
        ) AS later
    ) END
FROM known
WHERE conversations.id = known.id
RETURNING conversations.read_until, conversations.unread_count
