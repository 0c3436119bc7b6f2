-- name: insert_tenant
-- Takes id and name.
INSERT INTO tenants (id, name) VALUES ($1, $2)

-- name: select_tenant_by_name
-- Takes a name; returns the oldest tenant of it.
SELECT id FROM tenants WHERE name = $1 ORDER BY id LIMIT 1

-- name: insert_key
-- Takes id, tenant, whether live, and digest; a key that is there already stays.
INSERT INTO api_keys (key_id, tenant_id, live, digest) VALUES ($1, $2, $3, $4)
ON CONFLICT (key_id) DO NOTHING

-- name: select_key
-- Takes a key id; returns its tenant and digest unless it was revoked.
SELECT tenant_id, digest FROM api_keys WHERE key_id = $1 AND revoked_at IS NULL

-- name: revoke_key
-- Takes a key id; from now on it opens nothing.
UPDATE api_keys SET revoked_at = now() WHERE key_id = $1 AND revoked_at IS NULL

-- name: insert_number
-- Takes a number's record; returns it, or nothing where the phone number id is taken.
INSERT INTO numbers (id, tenant_id, phone_number_id, waba_id, display_number, provider_url, messages_per_second,
                     sealed_access_token, sealed_app_secret, verify_token_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (phone_number_id) DO NOTHING
RETURNING *

-- name: update_number
-- Takes tenant, id and the new values, null for those that stay; returns the record under its next revision.
UPDATE numbers
SET revision = revision + 1,
    display_number = coalesce($3, display_number), provider_url = coalesce($4, provider_url),
    messages_per_second = coalesce($5, messages_per_second), sealed_access_token = coalesce($6, sealed_access_token),
    sealed_app_secret = coalesce($7, sealed_app_secret), verify_token_digest = coalesce($8, verify_token_digest)
WHERE tenant_id = $1 AND id = $2
RETURNING *

-- name: select_numbers
-- Takes tenant, id to start after and limit; returns a page, oldest first.
SELECT * FROM numbers WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: select_number
-- Takes tenant and id.
SELECT * FROM numbers WHERE tenant_id = $1 AND id = $2

-- name: select_numbers_by_provider_id
-- Takes phone number ids; returns the numbers, whosever they are.
SELECT id, tenant_id, phone_number_id, sealed_app_secret FROM numbers WHERE phone_number_id = ANY($1::text[])

-- name: select_numbers_by_account
-- Takes WABA ids; returns their numbers, whosever they are.
SELECT id, tenant_id, phone_number_id, sealed_app_secret FROM numbers WHERE waba_id = ANY($1::text[]) ORDER BY id

-- name: verify_token_known
-- Takes a digest; true where a number has that verify token.
SELECT EXISTS (SELECT FROM numbers WHERE verify_token_digest = $1)

-- name: insert_messages
-- Takes columns as arrays.
INSERT INTO messages (id, tenant_id, number_id, recipient, content, tier, status, status_rank, scheduled_at, expires_at, reference,
                      metadata, traceparent, created_at, updated_at)
SELECT id, tenant_id, number_id, recipient, content::jsonb, tier, status, status_rank, scheduled_at, expires_at, reference,
       metadata::jsonb, traceparent, at, at
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::smallint[], $7::text[], $8::smallint[],
            $9::timestamptz[], $10::timestamptz[], $11::text[], $12::text[], $13::text[], $14::timestamptz[])
    AS t (id, tenant_id, number_id, recipient, content, tier, status, status_rank, scheduled_at, expires_at, reference, metadata,
          traceparent, at)

-- name: insert_timeline
-- Takes entries as arrays; returns those that were not there.
INSERT INTO timeline (message_id, status, at, code)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::text[])
ON CONFLICT DO NOTHING
RETURNING message_id, status, at

-- name: raise_status
-- Takes messages with tenant, status, rank, time, wamid, code and detail; a message that stands as high stays, but learns
-- its wamid.
UPDATE messages
SET status = CASE WHEN t.rank > status_rank THEN t.status ELSE messages.status END,
    error_code = CASE WHEN t.rank > status_rank THEN t.code ELSE error_code END,
    error_detail = CASE WHEN t.rank > status_rank THEN t.detail ELSE error_detail END,
    status_rank = greatest(t.rank, status_rank),
    wamid = coalesce(messages.wamid, t.wamid),
    updated_at = greatest(updated_at, t.at)
FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::timestamptz[], $6::text[], $7::text[], $8::text[])
    AS t (id, tenant_id, status, rank, at, wamid, code, detail)
WHERE messages.id = t.id AND messages.tenant_id = t.tenant_id
  AND (t.rank > status_rank OR (messages.wamid IS NULL AND t.wamid IS NOT NULL))

-- name: lock_messages
-- Takes tenants and message ids; locks the rows in one order, so that two batches never wait for each other; returns them as they are.
SELECT messages.id, status, wamid FROM messages JOIN unnest($1::text[], $2::text[]) AS t (tenant_id, id) USING (tenant_id, id)
ORDER BY tenant_id, messages.id FOR UPDATE OF messages

-- name: select_message
-- Takes tenant and id.
SELECT * FROM messages WHERE tenant_id = $1 AND id = $2

-- name: select_timeline
-- Takes a message id; returns its entries in the order they happened.
SELECT status, at, code FROM timeline WHERE message_id = $1 ORDER BY at

-- name: select_messages
-- Takes tenant, id to start before and limit; returns a page, newest first.
SELECT * FROM messages WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: select_messages_by_status
-- Takes tenant, id to start before, limit and status; returns a page, newest first.
SELECT * FROM messages WHERE tenant_id = $1 AND id < $2 AND status = $4 ORDER BY id DESC LIMIT $3

-- name: select_reported
-- Takes tenants and message ids; returns the numbers and traces of those that are theirs, for reports.
SELECT messages.id, number_id, traceparent
FROM messages JOIN unnest($1::text[], $2::text[]) AS t (tenant_id, id) USING (tenant_id, id)

-- name: claim_key
-- Takes tenant, route, key and fingerprint; returns a row where the key is new. Waits for a transaction that has just claimed it.
INSERT INTO idempotency_keys (tenant_id, route, key, fingerprint) VALUES ($1, $2, $3, $4)
ON CONFLICT DO NOTHING
RETURNING true

-- name: store_answer
-- Takes tenant, route, key, status and answer.
UPDATE idempotency_keys SET status = $4, answer = $5 WHERE tenant_id = $1 AND route = $2 AND key = $3

-- name: select_answer
-- Takes tenant, route and key.
SELECT fingerprint, status, answer FROM idempotency_keys WHERE tenant_id = $1 AND route = $2 AND key = $3

-- name: prune_keys
-- Takes an age and a limit; forgets idempotency keys older than that.
DELETE FROM idempotency_keys WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM idempotency_keys WHERE created_at < now() - $1::interval LIMIT $2
))

-- name: insert_webhooks
-- Takes tenants, bodies and trace contexts as arrays.
INSERT INTO webhooks (tenant_id, body, traceparent) SELECT * FROM unnest($1::text[], $2::bytea[], $3::text[])

-- name: claim_webhooks
-- Takes a limit; locks and returns the oldest payloads that wait, skipping those another replica works on.
SELECT id, tenant_id, body, traceparent FROM webhooks WHERE quarantined IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED

-- name: delete_webhooks
-- Takes ids; those payloads were understood whole.
DELETE FROM webhooks WHERE id = ANY($1::bigint[])

-- name: quarantine_webhooks
-- Takes ids and reasons; sets those payloads aside.
UPDATE webhooks SET quarantined = t.reason FROM unnest($1::bigint[], $2::text[]) AS t (id, reason) WHERE webhooks.id = t.id

-- name: prune_quarantined
-- Takes an age and a limit; forgets payloads that came longer ago and are set aside. Those that wait stay, however old.
DELETE FROM webhooks WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM webhooks WHERE quarantined IS NOT NULL AND received_at < now() - $1::interval LIMIT $2
))

-- name: insert_inbound
-- Takes number ids and wamids; returns those that were not there.
INSERT INTO inbound (number_id, wamid) SELECT * FROM unnest($1::text[], $2::text[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING
RETURNING number_id, wamid

-- name: prune_inbound
-- Takes an age and a limit; forgets inbound ids older than that.
DELETE FROM inbound WHERE ctid = ANY (ARRAY(SELECT ctid FROM inbound WHERE received_at < now() - $1::interval LIMIT $2))
