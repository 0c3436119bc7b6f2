-- `(kind = 'phone') IS TRUE` and LATERAL with LIMIT: see groups.sql.

-- name: select_unknown
-- Takes tenant, group ids and contact ids; returns one of the groups and one of the contacts that are not there.
SELECT
    (SELECT t.id FROM unnest($2::text[]) AS t (id)
     WHERE NOT EXISTS (SELECT FROM groups WHERE tenant_id = $1 AND groups.id = t.id) LIMIT 1) AS group_id,
    (SELECT t.id FROM unnest($3::text[]) AS t (id)
     WHERE NOT EXISTS (SELECT FROM contacts WHERE tenant_id = $1 AND contacts.id = t.id) LIMIT 1) AS contact_id

-- name: select_wanted
-- Takes tenant, ids to start after and to end with, groups, further contact ids between the two, and a limit; returns those members
-- of the groups and those contacts, each once, by id; `contact_id` is null where one is gone.
WITH wanted AS (
    SELECT member.contact_id AS id
    FROM unnest($4::text[]) AS t (group_id)
    CROSS JOIN LATERAL (
        SELECT contact_id FROM group_members
        WHERE tenant_id = $1 AND group_id = t.group_id AND contact_id > $2 AND contact_id <= $3
        ORDER BY contact_id LIMIT $6
    ) AS member
    UNION
    SELECT t.id COLLATE "C" FROM unnest($5::text[]) AS t (id)
    ORDER BY id LIMIT $6
)
SELECT wanted.id, contacts.id AS contact_id, name, language, time_zone, attributes, consent, consent_scope, phones.value AS phone
FROM wanted
LEFT JOIN LATERAL (SELECT * FROM contacts WHERE tenant_id = $1 AND contacts.id = wanted.id LIMIT 1) AS contacts ON true
LEFT JOIN LATERAL (
    SELECT value FROM contact_identifiers
    WHERE tenant_id = $1 AND contact_id = wanted.id AND (kind = 'phone') IS TRUE LIMIT 1
) AS phones ON true
ORDER BY wanted.id

-- name: select_by_phone
-- Takes tenant and phone numbers; returns the contacts that have them.
SELECT contacts.id AS contact_id, name, language, time_zone, attributes, consent, consent_scope, t.phone
FROM unnest($2::text[]) AS t (phone)
CROSS JOIN LATERAL (
    SELECT contact_id FROM contact_identifiers WHERE tenant_id = $1 AND kind = 'phone' AND value = t.phone LIMIT 1
) AS phones
CROSS JOIN LATERAL (SELECT * FROM contacts WHERE tenant_id = $1 AND contacts.id = phones.contact_id LIMIT 1) AS contacts
