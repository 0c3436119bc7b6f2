-- What the sender keeps of people, page by page. Bodies are looked through by the process: what is in them is the receivers' format.

-- name: callbacks_after
-- Takes tenant and the id to start after; returns the next of its callbacks, deleted ones too.
SELECT id FROM callbacks WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT 1

-- name: page_of_deliveries
-- Takes a callback, the key (time, id) to start after and a limit; returns what it was or is to be told, the oldest first.
SELECT id, created_at, body, tries::text AS tries FROM callback_deliveries
WHERE callback_id = $1 AND (created_at, id) > ($2::timestamptz, $3::text) ORDER BY created_at, id LIMIT $4

-- name: erase_deliveries
-- Takes ids. One that is being made just now is not written of any more.
DELETE FROM callback_deliveries WHERE id = ANY ($1::text[])

-- name: page_of_attempts
-- Takes tenant, the key (message, attempt) to start after and a limit; returns attempts of all tenants, of its own settled ones with what
-- they keep of the provider's answer.
SELECT message_id, attempt, CASE WHEN is_own THEN wamid END AS wamid, CASE WHEN is_own THEN detail END AS detail
FROM (
    SELECT *, tenant_id = $1 AND state NOT IN ('submitting', 'unknown') AS is_own FROM attempts
    WHERE (message_id, attempt) > ($2::text, $3::integer) ORDER BY message_id, attempt LIMIT $4
) AS page
ORDER BY message_id, attempt

-- name: empty_attempts
-- Takes message ids and attempts as arrays; forgets what the provider said of them.
UPDATE attempts AS a SET wamid = NULL, detail = NULL
FROM unnest($1::text[], $2::integer[]) AS t (message_id, attempt)
WHERE a.message_id = t.message_id AND a.attempt = t.attempt
