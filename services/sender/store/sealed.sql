-- What is sealed, column by column, for `services.sender.reseal`. Pages take an id to start after and a limit; writes take ids, values
-- as they were, and as they shall be, as arrays, and return the ids: one that has changed meanwhile stays.

-- name: page_access_tokens
-- Takes an id and a limit.
SELECT tenant_id, number_id AS id, sealed_access_token AS sealed FROM numbers WHERE number_id > $1 ORDER BY number_id LIMIT $2

-- name: reseal_access_tokens
-- Takes ids, old and new values; locks what it writes.
UPDATE numbers AS n SET sealed_access_token = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE n.number_id = t.id AND n.sealed_access_token = t.old RETURNING n.number_id

-- name: page_callback_secrets
-- Takes an id and a limit; deleted ones have none.
SELECT tenant_id, id, sealed_secret AS sealed FROM callbacks WHERE id > $1 AND state <> 'deleted' ORDER BY id LIMIT $2

-- name: reseal_callback_secrets
-- Takes ids, old and new values; locks what it writes.
UPDATE callbacks AS c SET sealed_secret = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE c.id = t.id AND c.sealed_secret = t.old RETURNING c.id

-- name: page_previous_callback_secrets
-- Takes an id and a limit; returns those of callbacks whose secret was rotated.
SELECT tenant_id, id, sealed_previous_secret AS sealed FROM callbacks
WHERE id > $1 AND sealed_previous_secret IS NOT NULL ORDER BY id LIMIT $2

-- name: reseal_previous_callback_secrets
-- Takes ids, old and new values; locks what it writes.
UPDATE callbacks AS c SET sealed_previous_secret = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE c.id = t.id AND c.sealed_previous_secret = t.old RETURNING c.id

-- name: page_verify_tokens
-- Takes an id and a limit; returns those of callbacks that have one.
SELECT tenant_id, id, sealed_verify_token AS sealed FROM callbacks
WHERE id > $1 AND sealed_verify_token IS NOT NULL ORDER BY id LIMIT $2

-- name: reseal_verify_tokens
-- Takes ids, old and new values; locks what it writes.
UPDATE callbacks AS c SET sealed_verify_token = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE c.id = t.id AND c.sealed_verify_token = t.old RETURNING c.id
