-- What is sealed, column by column, for `services.gateway.reseal`. Pages take an id to start after and a limit; writes take ids, values
-- as they were, and as they shall be, as arrays, and return the ids: one that has changed meanwhile stays.

-- name: page_access_tokens
-- Takes an id and a limit.
SELECT tenant_id, id, sealed_access_token AS sealed FROM numbers WHERE id > $1 ORDER BY id LIMIT $2

-- name: reseal_access_tokens
-- Takes ids, old and new values; locks what it writes.
UPDATE numbers AS n SET sealed_access_token = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE n.id = t.id AND n.sealed_access_token = t.old RETURNING n.id

-- name: page_app_secrets
-- Takes an id and a limit.
SELECT tenant_id, id, sealed_app_secret AS sealed FROM numbers WHERE id > $1 ORDER BY id LIMIT $2

-- name: reseal_app_secrets
-- Takes ids, old and new values; locks what it writes.
UPDATE numbers AS n SET sealed_app_secret = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE n.id = t.id AND n.sealed_app_secret = t.old RETURNING n.id

-- name: page_previous_app_secrets
-- Takes an id and a limit; returns those of numbers whose secret is being rotated.
SELECT tenant_id, id, sealed_previous_app_secret AS sealed FROM numbers
WHERE id > $1 AND sealed_previous_app_secret IS NOT NULL ORDER BY id LIMIT $2

-- name: reseal_previous_app_secrets
-- Takes ids, old and new values; locks what it writes.
UPDATE numbers AS n SET sealed_previous_app_secret = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE n.id = t.id AND n.sealed_previous_app_secret = t.old RETURNING n.id

-- name: page_sealed_people
-- Takes an id and a limit; returns those of erasures that are not over.
SELECT tenant_id, id, sealed_person AS sealed FROM erasures WHERE id > $1 AND state <> 'completed' ORDER BY id LIMIT $2

-- name: reseal_people
-- Takes ids, old and new values; locks what it writes.
UPDATE erasures AS e SET sealed_person = t.new FROM unnest($1::text[], $2::text[], $3::text[]) AS t (id, old, new)
WHERE e.id = t.id AND e.state <> 'completed' AND e.sealed_person = t.old RETURNING e.id
