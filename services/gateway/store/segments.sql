-- name: insert_segment
-- Takes tenant, id, name and filter; returns the segment.
INSERT INTO segments (tenant_id, id, name, filter) VALUES ($1, $2, $3, $4::jsonb) RETURNING *

-- name: select_segment
-- Takes tenant and id.
SELECT * FROM segments WHERE tenant_id = $1 AND id = $2

-- name: select_segments
-- Takes tenant, id to start after and limit; returns a page, oldest first.
SELECT * FROM segments WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: update_segment
-- Takes tenant, id, name and filter; null leaves each as it is. Returns the segment.
UPDATE segments SET name = coalesce($3, name), filter = coalesce($4::jsonb, filter), updated_at = now()
WHERE tenant_id = $1 AND id = $2
RETURNING *

-- name: delete_segment
-- Takes tenant and id; returns a row where it was there.
DELETE FROM segments WHERE tenant_id = $1 AND id = $2 RETURNING true

-- name: select_matching
-- Takes tenant, id to start after, how many contacts to look at, and a limit; returns the ids of those that the filter in the place
-- of the condition holds for, in order, and the id of the last that was looked at: null where the limit was reached, or where there
-- were fewer. Both in one statement, which sees one state of the table: whoever is erased between two would move the second's end,
-- and others would never be looked at.
WITH matching AS MATERIALIZED (
    SELECT contacts.id
    FROM (SELECT * FROM contacts WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) AS contacts
    WHERE true /* condition */
    ORDER BY contacts.id LIMIT $4
)
SELECT
    ARRAY(SELECT id FROM matching ORDER BY id) AS ids,
    CASE WHEN (SELECT count(*) FROM matching) < $4 THEN (
        SELECT id FROM contacts WHERE tenant_id = $1 AND id > $2 ORDER BY id OFFSET $3::bigint - 1 LIMIT 1
    ) END AS looked_to

-- name: count_matching
-- Takes tenant, id to start after, and how many contacts to look at; returns for how many of them the filter holds, how many they
-- are, and the last one's id.
SELECT count(*) FILTER (WHERE true /* condition */) AS matching, count(*) AS looked_at, max(contacts.id) AS last
FROM (SELECT * FROM contacts WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3) AS contacts
