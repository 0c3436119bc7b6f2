-- name: select_kept_keys
-- Takes names; returns those that are kept, sealed.
SELECT name, sealed_key FROM kept_keys WHERE name = ANY ($1::text[])

-- name: insert_kept_keys
-- Takes names and sealed keys as arrays; what is kept already stays.
INSERT INTO kept_keys (name, sealed_key) SELECT * FROM unnest($1::text[], $2::text[]) ON CONFLICT (name) DO NOTHING

-- name: page_kept_keys
-- Takes a name to start after and a limit.
SELECT 'platform' AS tenant_id, name AS id, sealed_key AS sealed FROM kept_keys WHERE name > $1 ORDER BY name LIMIT $2

-- name: reseal_kept_keys
-- Takes names, sealed keys as they were, and as they shall be, as arrays; one that has changed meanwhile stays. Returns the names.
UPDATE kept_keys SET sealed_key = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE name = t.id AND sealed_key = t.old RETURNING name

-- name: drop_kept_keys
-- Takes names; each is derived anew at the next start.
DELETE FROM kept_keys WHERE name = ANY ($1::text[])
