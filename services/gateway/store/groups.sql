-- While a table is new the planner guesses that a tenant has one row. `(kind = 'phone') IS TRUE` keeps it from the primary key of
-- contact_identifiers, under which it would read all of a tenant's phone numbers for each contact; LATERAL with LIMIT from reading
-- all of a tenant's contacts for each page.

-- name: insert_group
-- Takes tenant, id, name and description; returns the group.
INSERT INTO groups (tenant_id, id, name, description) VALUES ($1, $2, $3, $4) RETURNING *

-- name: select_group
-- Takes tenant and id.
SELECT * FROM groups WHERE tenant_id = $1 AND id = $2

-- name: select_groups
-- Takes tenant, id to start after and limit; returns a page, oldest first.
SELECT * FROM groups WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: update_group
-- Takes tenant, id, name (null leaves it), whether the description changes, and the description; returns the group.
UPDATE groups
SET name = coalesce($3, name), description = CASE WHEN $4::boolean THEN $5 ELSE description END, updated_at = now()
WHERE tenant_id = $1 AND id = $2
RETURNING *

-- name: delete_all_members
-- Takes tenant and group. Before the group itself, as whoever removes some of them locks members first.
DELETE FROM group_members WHERE tenant_id = $1 AND group_id = $2

-- name: delete_group
-- Takes tenant and id; returns a row where it was there. What has become a member meanwhile goes with it.
DELETE FROM groups WHERE tenant_id = $1 AND id = $2 RETURNING true

-- name: lock_contacts
-- Takes tenant, contact ids and phone numbers; returns those contacts with their numbers. Locks them against being deleted, in one
-- order and before any group: so does whoever deletes them.
WITH given AS (
    SELECT t.id COLLATE "C" AS id FROM unnest($2::text[]) AS t (id)
    UNION
    SELECT contact_id FROM unnest($3::text[]) AS t (phone)
    JOIN contact_identifiers ON tenant_id = $1 AND kind = 'phone' AND value = t.phone
)
SELECT contacts.id, phones.value AS phone
FROM given
JOIN contacts ON contacts.tenant_id = $1 AND contacts.id = given.id
LEFT JOIN contact_identifiers AS phones
    ON phones.tenant_id = $1 AND phones.contact_id = contacts.id AND (phones.kind = 'phone') IS TRUE
ORDER BY contacts.id FOR KEY SHARE OF contacts

-- name: insert_members
-- Takes tenant, group and ids of locked contacts; returns those that were no members yet.
INSERT INTO group_members (tenant_id, group_id, contact_id)
SELECT $1, $2, t.id FROM unnest($3::text[]) AS t (id) ORDER BY t.id COLLATE "C"
ON CONFLICT DO NOTHING
RETURNING contact_id

-- name: delete_members
-- Takes tenant, group, contact ids and phone numbers; returns those that were members.
WITH given AS (
    SELECT t.id COLLATE "C" AS id FROM unnest($3::text[]) AS t (id)
    UNION
    SELECT contact_id FROM unnest($4::text[]) AS t (phone)
    JOIN contact_identifiers ON tenant_id = $1 AND kind = 'phone' AND value = t.phone
), locked AS MATERIALIZED (
    SELECT member.place
    FROM (SELECT id FROM given ORDER BY id) AS given
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM group_members
        WHERE tenant_id = $1 AND group_id = $2 AND contact_id = given.id LIMIT 1 FOR UPDATE
    ) AS member
)
DELETE FROM group_members WHERE ctid = ANY (ARRAY(SELECT place FROM locked))
RETURNING contact_id

-- name: select_members
-- Takes tenant, group, contact id to start after and limit; returns a page, by contact id.
SELECT member.contact_id, contacts.name, phones.value AS phone, member.added_at
FROM (
    SELECT contact_id, added_at FROM group_members
    WHERE tenant_id = $1 AND group_id = $2 AND contact_id > $3 ORDER BY contact_id LIMIT $4
) AS member
CROSS JOIN LATERAL (SELECT name FROM contacts WHERE tenant_id = $1 AND id = member.contact_id LIMIT 1) AS contacts
LEFT JOIN LATERAL (
    SELECT value FROM contact_identifiers
    WHERE tenant_id = $1 AND contact_id = member.contact_id AND (kind = 'phone') IS TRUE LIMIT 1
) AS phones ON true
ORDER BY member.contact_id

-- name: select_groups_named
-- Takes tenant and names; returns the oldest group of each.
SELECT t.name, found.id
FROM unnest($2::text[]) AS t (name)
CROSS JOIN LATERAL (SELECT id FROM groups WHERE tenant_id = $1 AND name = t.name ORDER BY id LIMIT 1) AS found

-- name: lock_group_names
-- Takes tenant; waits for others who make groups by name for it.
SELECT pg_advisory_xact_lock(hashtextextended('groups of ' || $1::text, 0))

-- name: insert_groups_named
-- Takes tenant, and ids and names as arrays; makes those groups.
INSERT INTO groups (tenant_id, id, name) SELECT $1, * FROM unnest($2::text[], $3::text[])

-- name: insert_joining
-- Takes tenant, and groups and ids of locked contacts as arrays; makes them members where they are none yet.
INSERT INTO group_members (tenant_id, group_id, contact_id)
SELECT $1, t.group_id, t.contact_id
FROM unnest($2::text[], $3::text[]) AS t (group_id, contact_id) ORDER BY t.group_id COLLATE "C", t.contact_id COLLATE "C"
ON CONFLICT DO NOTHING
