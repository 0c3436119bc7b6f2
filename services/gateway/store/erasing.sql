-- What the gateway keeps of people. Each page is found by its key and looked through: nothing here has an index that everybody would
-- have to pay for.

-- name: find_contacts
-- Takes tenant, addresses and contact ids; returns the contacts that are called so.
SELECT contact_id AS id FROM contact_identifiers WHERE tenant_id = $1 AND kind IN ('phone', 'user_id') AND value = ANY ($2::text[])
UNION
SELECT id FROM contacts WHERE tenant_id = $1 AND id = ANY ($3::text[])

-- name: find_kept_opt_outs
-- Takes tenant and addresses; returns those of which an opt-out is kept in plain text.
SELECT phone FROM kept_opt_outs WHERE tenant_id = $1 AND phone = ANY ($2::text[])

-- name: hide_opt_outs
-- Takes tenant and addresses; keeps their opt-outs without them. What was kept before is never narrowed.
WITH plain AS (
    DELETE FROM kept_opt_outs WHERE tenant_id = $1 AND phone = ANY ($2::text[]) RETURNING phone, scope, at, source
)
INSERT INTO erased_opt_outs AS kept (tenant_id, digest, scope, at, source)
SELECT $1, sha256((SELECT key FROM digest_key WHERE is_only) || convert_to(phone, 'UTF8')), scope, at, source FROM plain
ON CONFLICT (tenant_id, digest) DO UPDATE
SET scope = CASE WHEN kept.scope = 'all' THEN 'all' ELSE excluded.scope END, at = greatest(kept.at, excluded.at),
    source = excluded.source

-- name: look_through_messages
-- Takes tenant, id to start after, addresses, contact ids and a limit; returns how many messages were looked through, the last of
-- them, and those of the person.
SELECT count(*) AS looked_at, max(id) AS last, coalesce(array_agg(id) FILTER (WHERE fits), '{}') AS ids
FROM (
    SELECT id, recipient = ANY ($3::text[]) OR coalesce(contact_id = ANY ($4::text[]), false) AS fits
    FROM messages WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $5
) AS page

-- name: empty_messages
-- Takes tenant and ids; leaves of those messages what is nobody's: that there was one, and what became of it.
UPDATE messages
SET recipient = '', content = jsonb_build_object('type', content -> 'type'), reference = NULL, metadata = NULL, graph = NULL,
    contact_id = NULL, wamid = NULL, error_detail = NULL
WHERE tenant_id = $1 AND id = ANY ($2::text[])

-- name: page_of_payloads
-- Takes tenant, id to start after and a limit; returns payloads that wait or are set aside, the tenant's and those that are nobody's.
SELECT id, body, coalesce(length, octet_length(body)) AS length, quarantined IS NOT NULL AS is_quarantined
FROM webhooks WHERE tenant_id IN ($1, '') AND id > $2 ORDER BY id LIMIT $3

-- name: delete_payloads
-- Takes ids of payloads; deletes those that are set aside. One that waits is read first.
DELETE FROM webhooks WHERE id = ANY ($1::bigint[]) AND quarantined IS NOT NULL

-- name: page_of_graph_ids
-- Takes tenant, wamid to start after and a limit.
SELECT wamid FROM graph_ids WHERE tenant_id = $1 AND wamid > $2 ORDER BY wamid LIMIT $3

-- name: delete_graph_ids
-- Takes tenant and wamids.
DELETE FROM graph_ids WHERE tenant_id = $1 AND wamid = ANY ($2::text[])

-- name: page_of_received_media
-- Takes tenant, the key (wamid, id) to start after and a limit; returns files that came in messages.
SELECT wamid, id FROM media WHERE tenant_id = $1 AND wamid IS NOT NULL AND (wamid, id) > ($2::text, $3::text)
ORDER BY wamid, id LIMIT $4

-- name: media_of_messages
-- Takes tenant and wamids; returns the files that came in those messages.
SELECT id FROM media WHERE tenant_id = $1 AND wamid = ANY ($2::text[]) AND wamid IS NOT NULL

-- name: page_of_fetches
-- Takes tenant, wamid to start after and a limit; returns messages whose files are still at the provider.
SELECT DISTINCT wamid FROM media_fetches WHERE tenant_id = $1 AND wamid > $2 ORDER BY wamid LIMIT $3

-- name: delete_fetches
-- Takes tenant and wamids; whoever is fetching one finds that it is not wanted any more.
DELETE FROM media_fetches WHERE tenant_id = $1 AND wamid = ANY ($2::text[])

-- name: page_of_chunks
-- Takes tenant, the key (import, number) to start after and a limit; returns records of files of contacts that are on their way in.
SELECT chunks.import_id, chunks.number, chunks.records
FROM contact_imports AS i JOIN contact_import_chunks AS chunks ON chunks.import_id = i.id
WHERE i.tenant_id = $1 AND (chunks.import_id, chunks.number) > ($2::text, $3::integer)
ORDER BY chunks.import_id, chunks.number LIMIT $4

-- name: lock_chunk
-- Takes import and number; locks and returns its records.
SELECT records FROM contact_import_chunks WHERE import_id = $1 AND number = $2 FOR UPDATE

-- name: rewrite_chunk
-- Takes import, number and the records that are left of it.
UPDATE contact_import_chunks SET records = $3 WHERE import_id = $1 AND number = $2
