-- name: select_own_conversations
-- Takes tenant and ids; returns those that are conversations of the tenant's.
SELECT id FROM conversations WHERE tenant_id = $1 AND id = ANY ($2::text[])
