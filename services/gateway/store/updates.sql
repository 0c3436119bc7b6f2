-- name: select_watched
-- Returns the tenants who are told of updates now.
SELECT tenant_id FROM watched WHERE is_watched OR live_until > now()

-- name: put_watched
-- Takes tenants, revisions and whether they have callbacks, as arrays with each tenant once; later revisions win.
INSERT INTO watched (tenant_id, revision, is_watched) SELECT * FROM unnest($1::text[], $2::bigint[], $3::boolean[]) ORDER BY 1
ON CONFLICT (tenant_id) DO UPDATE SET revision = excluded.revision, is_watched = excluded.is_watched
WHERE watched.revision < excluded.revision

-- name: watch_live
-- Takes tenants and for how long they are told of updates from now on.
INSERT INTO watched (tenant_id, live_until) SELECT tenant_id, now() + $2::interval FROM unnest($1::text[]) AS t (tenant_id)
ORDER BY 1
ON CONFLICT (tenant_id) DO UPDATE SET live_until = greatest(watched.live_until, excluded.live_until)

-- name: select_places
-- Takes ids of numbers; returns how the provider names them.
SELECT id, waba_id, phone_number_id, display_number FROM numbers WHERE id = ANY($1::text[])

-- name: select_told_messages
-- Takes an array of [tenant, message id] and how many they are; returns what their tenants are told of them beside their state.
SELECT tenant_id, messages.id, recipient, reference, metadata, run_id, graph, wamid
FROM messages
JOIN (SELECT key->>0 AS tenant_id, key->>1 AS id FROM jsonb_array_elements($1::jsonb) AS key LIMIT $2) AS t USING (tenant_id, id)
