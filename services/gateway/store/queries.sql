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
INSERT INTO numbers (id, tenant_id, provider, phone_number_id, waba_id, display_number, provider_url, messages_per_second, profile,
                     calls_per_hour, portfolio_id, unique_users_per_day, window_policy, sealed_access_token, sealed_app_secret,
                     verify_token_digest)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
ON CONFLICT (phone_number_id) DO NOTHING
RETURNING *

-- name: lock_number
-- Takes tenant and id; locks the record, so that whoever changes it next sees the change, and returns it.
SELECT * FROM numbers WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: update_number
-- Takes tenant and id of a locked record and all that can change of it; returns it under its next revision.
UPDATE numbers
SET revision = revision + 1, display_number = $3, provider_url = $4, messages_per_second = $5, profile = $6, calls_per_hour = $7,
    portfolio_id = $8, unique_users_per_day = $9, window_policy = $10, sealed_access_token = $11, sealed_app_secret = $12,
    verify_token_digest = $13, status = $14, paused_code = $15, paused_detail = $16, paused_at = $17,
    sealed_previous_app_secret = $18, previous_app_secret_until = $19
WHERE tenant_id = $1 AND id = $2
RETURNING *

-- name: select_numbers
-- Takes tenant, id to start after and limit; returns a page, oldest first.
SELECT * FROM numbers WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: select_paused_numbers
-- Takes tenant and ids; returns those that are paused, and why.
SELECT id, paused_code FROM numbers WHERE tenant_id = $1 AND id = ANY ($2::text[]) AND paused_code IS NOT NULL

-- name: select_number
-- Takes tenant and id.
SELECT * FROM numbers WHERE tenant_id = $1 AND id = $2

-- name: select_numbers_by_provider_id
-- Takes phone number ids; returns the numbers, whosever they are.
SELECT id, tenant_id, phone_number_id, waba_id, sealed_app_secret, sealed_previous_app_secret, previous_app_secret_until
FROM numbers WHERE phone_number_id = ANY($1::text[])

-- name: select_numbers_by_account
-- Takes WABA ids; returns their numbers, whosever they are.
SELECT id, tenant_id, phone_number_id, waba_id, sealed_app_secret, sealed_previous_app_secret, previous_app_secret_until
FROM numbers WHERE waba_id = ANY($1::text[]) AND provider = 'cloud_api' ORDER BY id

-- name: select_numbers_that_sign
-- Takes a limit; returns numbers whose secrets sign webhooks, whosever they are, oldest first.
SELECT id, tenant_id, phone_number_id, waba_id, sealed_app_secret, sealed_previous_app_secret, previous_app_secret_until
FROM numbers WHERE provider = 'cloud_api' ORDER BY id LIMIT $1

-- name: select_number_called_back
-- Takes a number id that a callback names, and the provider; returns the number, whosever it is.
SELECT id, tenant_id, phone_number_id, waba_id, sealed_app_secret, sealed_previous_app_secret, previous_app_secret_until
FROM numbers WHERE id = $1 AND provider = $2

-- name: verify_token_known
-- Takes a digest; true where a number has that verify token.
SELECT EXISTS (SELECT FROM numbers WHERE verify_token_digest = $1)

-- name: verify_token_of
-- Takes a number id and a digest; true where the number has that verify token.
SELECT EXISTS (SELECT FROM numbers WHERE id = $1 AND verify_token_digest = $2)

-- name: forget_previous_secrets
-- Takes an age and a limit; forgets former app secrets that have not been valid for longer than that.
UPDATE numbers SET sealed_previous_app_secret = NULL, previous_app_secret_until = NULL WHERE id = ANY (ARRAY(
    SELECT id FROM numbers WHERE previous_app_secret_until < now() - $1::interval LIMIT $2
))

-- name: lock_messages
-- Takes an array of [tenant, message id] and how many they are; locks the rows in one order, so that two batches never wait for each
-- other; returns where they stand, and their place in the table, which is theirs for as long as they are locked. The array is JSON, here
-- and below, because asyncpg takes three times as long over arrays of PostgreSQL's. The limit has the plan made for ten rows: made for a
-- hundred while the table is new, it reads the whole table each time, and is kept for a while when that has grown.
SELECT tenant_id, messages.id, number_id, run_id, traceparent, status, wamid, error_code, error_detail, updated_at, timeline, graph,
       messages.ctid::text AS place
FROM messages
JOIN (SELECT key->>0 AS tenant_id, key->>1 AS id FROM jsonb_array_elements($1::jsonb) AS key LIMIT $2) AS t USING (tenant_id, id)
ORDER BY tenant_id, messages.id FOR UPDATE OF messages

-- name: write_states
-- Takes an array of messages that this transaction has locked, each with its place, all that is kept of where it stands now, and the
-- rank of its status; and how many they are. To seek them in the index once more would take a quarter of the time. Each limit has the
-- planner expect a tenth: for one row it goes by place, however small the table was when it planned. Of one whose recipient was erased,
-- less is kept: the provider's ids hold the phone number.
UPDATE messages
SET status = t.state->>1, wamid = CASE WHEN recipient <> '' THEN t.state->>2 END, error_code = t.state->>3,
    error_detail = CASE WHEN recipient <> '' THEN t.state->>4 END, updated_at = (t.state->>5)::timestamptz, timeline = t.state->>6,
    status_rank = (t.state->>7)::smallint
FROM (SELECT * FROM (SELECT jsonb_array_elements($1::jsonb) LIMIT $2) AS given LIMIT $2) AS t (state)
WHERE messages.ctid = (t.state->>0)::tid

-- name: select_message
-- Takes tenant and id.
SELECT * FROM messages WHERE tenant_id = $1 AND id = $2

-- name: select_timeline
-- Takes a message id; returns the entries that a former version of the gateway wrote beside the message's row.
SELECT status, at, code FROM timeline WHERE message_id = $1

-- name: select_messages
-- Takes tenant, id to start before and limit; returns a page, newest first.
SELECT * FROM messages WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: insert_new_messages
-- Takes an array of messages, each with all columns that are written at first; returns tenant and id of those that are new.
INSERT INTO messages (id, tenant_id, number_id, recipient, content, tier, status, status_rank, scheduled_at, expires_at, on_unknown,
                      reference, metadata, traceparent, created_at, updated_at, timeline, run_id, contact_id, graph)
SELECT m->>0, m->>1, m->>2, m->>3, (m->>4)::jsonb, (m->>5)::smallint, m->>6, (m->>7)::smallint, (m->>8)::timestamptz,
       (m->>9)::timestamptz, m->>10, m->>11, (m->>12)::jsonb, m->>13, (m->>14)::timestamptz, (m->>15)::timestamptz, m->>16, m->>17,
       m->>18, (m->>19)::jsonb
FROM jsonb_array_elements($1::jsonb) AS t (m) ORDER BY m->>1, m->>0
ON CONFLICT DO NOTHING
RETURNING tenant_id, id

-- name: search_messages
-- Takes tenant, id to start before, limit, how many to look through at most, and what is wanted of status, recipient and number,
-- where that matters; returns those that fit, newest first, and the last one that was looked through where there may be more.
SELECT * FROM (
    SELECT *, row_number() OVER (ORDER BY id DESC) AS place,
           ($5::text IS NULL OR status = $5) AND ($6::text IS NULL OR recipient = $6)
           AND ($7::text IS NULL OR number_id = $7) AS fits
    FROM messages WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $4
) AS looked_through
WHERE fits OR place = $4 ORDER BY id DESC LIMIT $3

-- name: search_messages_of_run
-- As `search_messages`, among those of a run; takes the reference too, where that matters, and the run.
SELECT * FROM (
    SELECT *, row_number() OVER (ORDER BY id DESC) AS place,
           ($5::text IS NULL OR status = $5) AND ($6::text IS NULL OR recipient = $6)
           AND ($7::text IS NULL OR number_id = $7) AND ($8::text IS NULL OR reference = $8) AS fits
    FROM messages WHERE tenant_id = $1 AND id < $2 AND run_id = $9 ORDER BY id DESC LIMIT $4
) AS looked_through
WHERE fits OR place = $4 ORDER BY id DESC LIMIT $3

-- name: search_messages_by_reference
-- As `search_messages`, among those with a reference.
SELECT * FROM (
    SELECT *, row_number() OVER (ORDER BY id DESC) AS place,
           ($5::text IS NULL OR status = $5) AND ($6::text IS NULL OR recipient = $6)
           AND ($7::text IS NULL OR number_id = $7) AS fits
    FROM messages WHERE tenant_id = $1 AND id < $2 AND reference = $8 ORDER BY id DESC LIMIT $4
) AS looked_through
WHERE fits OR place = $4 ORDER BY id DESC LIMIT $3

-- name: insert_webhooks
-- Takes tenants, bodies as they are kept, their lengths and trace contexts as arrays, and the reason for which what is nobody's is set
-- aside at once.
INSERT INTO webhooks (tenant_id, body, length, traceparent, quarantined)
SELECT *, CASE WHEN tenant_id = '' THEN $5 END
FROM unnest($1::text[], $2::bytea[], $3::integer[], $4::text[]) AS t (tenant_id, body, length, traceparent)

-- name: insert_spooled_webhooks
-- As `insert_webhooks`, of payloads that came at the given moments.
INSERT INTO webhooks (tenant_id, body, length, traceparent, received_at, quarantined)
SELECT *, CASE WHEN tenant_id = '' THEN $6 END
FROM unnest($1::text[], $2::bytea[], $3::integer[], $4::text[], $5::timestamptz[])
    AS t (tenant_id, body, length, traceparent, received_at)

-- name: claim_webhooks
-- Takes a limit of payloads and one of bytes; locks the oldest payloads that wait, skipping those another replica works on; returns
-- those that begin within the bytes.
WITH locked AS MATERIALIZED (
    SELECT id, tenant_id, body, coalesce(length, octet_length(body)) AS length, traceparent
    FROM webhooks WHERE quarantined IS NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED
)
SELECT id, tenant_id, body, length, traceparent
FROM (SELECT *, sum(length) OVER (ORDER BY id) - length AS before FROM locked) AS sized
WHERE before < $2 ORDER BY id

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
