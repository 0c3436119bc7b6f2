-- name: insert_graph_ids
-- Takes tenants, wamids and message ids as arrays; what is known stays.
INSERT INTO graph_ids (tenant_id, wamid, message_id) SELECT * FROM unnest($1::text[], $2::text[], $3::text[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING

-- name: select_graph_ids
-- Takes tenants and wamids as arrays; returns those that are of messages accepted at the front door.
SELECT tenant_id, wamid, message_id FROM graph_ids
JOIN unnest($1::text[], $2::text[]) AS t (tenant_id, wamid) USING (tenant_id, wamid)

-- name: select_wamids
-- Takes a tenant and ids of messages; returns the provider's wamids of those that it took.
SELECT id, wamid FROM messages WHERE tenant_id = $1 AND id = ANY($2::text[]) AND wamid IS NOT NULL

-- name: prune_graph_ids
-- Takes an age and a limit; forgets pairs older than that.
DELETE FROM graph_ids WHERE ctid = ANY (ARRAY(SELECT ctid FROM graph_ids WHERE learned_at < now() - $1::interval LIMIT $2))

-- name: select_node_number
-- Takes a tenant and a phone number id or an account's id; returns the number through which calls about it are made.
SELECT id, phone_number_id, waba_id, provider_url, sealed_access_token FROM numbers
WHERE tenant_id = $1 AND (phone_number_id = $2 OR waba_id = $2) AND provider = 'cloud_api'
ORDER BY phone_number_id <> $2, status, id DESC LIMIT 1

-- name: select_nodes
-- Takes a limit and a tenant; returns its numbers of the Cloud API, oldest first.
SELECT id, phone_number_id, waba_id FROM numbers WHERE tenant_id = $2 AND provider = 'cloud_api' ORDER BY id LIMIT $1

-- name: is_foreign_node
-- Takes a tenant and an id; true where it is the number, the account or a template of somebody else. A template of an account that the
-- tenant has a number in is its own too.
SELECT EXISTS (SELECT FROM numbers WHERE (phone_number_id = $2 OR waba_id = $2) AND tenant_id <> $1)
    OR EXISTS (
        SELECT FROM templates AS t WHERE t.provider_id = $2 AND t.tenant_id <> $1
        AND NOT EXISTS (SELECT FROM numbers AS n WHERE n.tenant_id = $1 AND n.waba_id = t.account_id)
    )

-- name: select_app_secrets
-- Takes a tenant and ids of numbers, NULL for all; returns their app secrets, sealed, the newest number's first.
SELECT id, sealed_app_secret FROM numbers
WHERE tenant_id = $1 AND provider = 'cloud_api' AND ($2::text[] IS NULL OR id = ANY($2)) ORDER BY id DESC LIMIT 10

-- name: select_media_ids
-- Takes a tenant, our digits of files and the provider's; returns the files, each with what it was called.
SELECT id, wire_id::text AS name FROM media WHERE tenant_id = $1 AND wire_id = ANY($2::bigint[])
UNION ALL
SELECT max(id), provider_id FROM media WHERE tenant_id = $1 AND provider_id = ANY($3::text[]) GROUP BY provider_id
