-- While a table is new the planner guesses that a tenant has few rows, and would read all of them for a batch, however many they
-- have become: LATERAL with LIMIT makes it look each up.

-- name: lock_contacts_called
-- Takes tenant, and kinds and values as arrays; locks the contacts called so in one order, so that two batches never wait for each
-- other; returns their ids. They may become members of groups meanwhile.
SELECT locked.id
FROM (
    SELECT DISTINCT owner.contact_id
    FROM unnest($2::text[], $3::text[]) AS t (kind, value)
    CROSS JOIN LATERAL (
        SELECT contact_id FROM contact_identifiers WHERE tenant_id = $1 AND kind = t.kind AND value = t.value LIMIT 1
    ) AS owner
    ORDER BY owner.contact_id
) AS called
CROSS JOIN LATERAL (
    SELECT id FROM contacts WHERE tenant_id = $1 AND id = called.contact_id LIMIT 1 FOR NO KEY UPDATE
) AS locked

-- name: lock_contact
-- Takes tenant and id; locks the contact and returns its id.
SELECT id FROM contacts WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: select_contacts_by_id
-- Takes tenant and ids; returns those contacts.
SELECT contacts.*
FROM unnest($2::text[]) AS t (id)
CROSS JOIN LATERAL (SELECT * FROM contacts WHERE tenant_id = $1 AND contacts.id = t.id LIMIT 1) AS contacts

-- name: select_identifiers
-- Takes tenant and contact ids; returns what they are called by, one of each kind at most.
SELECT t.id AS contact_id, names.kind, names.value
FROM unnest($2::text[]) AS t (id)
CROSS JOIN LATERAL (
    SELECT kind, value FROM contact_identifiers WHERE tenant_id = $1 AND contact_id = t.id LIMIT 3
) AS names

-- name: select_called
-- Takes tenant, kind and value; returns the id of the contact called so.
SELECT contact_id FROM contact_identifiers WHERE tenant_id = $1 AND kind = $2 AND value = $3

-- name: update_contacts
-- Takes tenant, a time, and as arrays contact ids and all that can change of each. Their rows are locked, so they stay in their
-- places.
UPDATE contacts
SET name = t.name, name_key = t.name_key, language = t.language, time_zone = t.time_zone, attributes = t.attributes,
    consent = t.consent, consent_scope = t.consent_scope, consent_source = t.consent_source, consent_at = t.consent_at,
    general = t.general, general_at = t.general_at, general_source = t.general_source,
    marketing = t.marketing, marketing_at = t.marketing_at, marketing_source = t.marketing_source, updated_at = $2
FROM unnest(
    $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::jsonb[], $9::text[], $10::text[], $11::text[],
    $12::timestamptz[], $13::text[], $14::timestamptz[], $15::text[], $16::text[], $17::timestamptz[], $18::text[]
) AS t (
    id, name, name_key, language, time_zone, attributes, consent, consent_scope, consent_source, consent_at, general, general_at,
    general_source, marketing, marketing_at, marketing_source
)
CROSS JOIN LATERAL (SELECT ctid AS place FROM contacts AS c WHERE c.tenant_id = $1 AND c.id = t.id LIMIT 1) AS found
WHERE contacts.ctid = found.place

-- name: delete_identifiers
-- Takes tenant, and kinds, values and contact ids as arrays; those are no longer called so.
DELETE FROM contact_identifiers WHERE ctid = ANY (ARRAY(
    SELECT found.place
    FROM unnest($2::text[], $3::text[], $4::text[]) AS gone (kind, value, contact_id)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM contact_identifiers AS i
        WHERE i.tenant_id = $1 AND i.kind = gone.kind AND i.value = gone.value AND i.contact_id = gone.contact_id LIMIT 1
    ) AS found
))

-- name: insert_consents
-- Takes tenant, and contact ids, times, scopes, consents and sources as arrays; what is there already is not written again.
INSERT INTO contact_consents (tenant_id, contact_id, at, scope, consent, source)
SELECT $1, * FROM unnest($2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[])
ON CONFLICT DO NOTHING

-- name: select_consents
-- Takes tenant, contact, the key (time, scope, consent) to start before, and limit; returns a page, latest first.
SELECT at, scope, consent, source, recorded_at FROM contact_consents
WHERE tenant_id = $1 AND contact_id = $2 AND (at, scope, consent) < ($3::timestamptz, $4::text, $5::text)
ORDER BY at DESC, scope DESC, consent DESC LIMIT $6

-- name: select_contacts
-- Takes tenant, id to start before and limit; returns a page, newest first.
SELECT * FROM contacts WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: select_contacts_by_consent
-- Takes tenant, id to start before, limit and consent; returns a page, newest first.
SELECT * FROM contacts WHERE tenant_id = $1 AND consent = $4 AND id < $2 ORDER BY id DESC LIMIT $3

-- name: select_contacts_by_name
-- Takes tenant, the key (folded name, id) to start after, limit, the beginning of the folded name and the text behind all that begin
-- so, and a consent or NULL; returns a page in the order of names.
SELECT * FROM contacts
WHERE tenant_id = $1 AND name_key >= $5 AND name_key < $6 AND (name_key, id) > ($2::text, $3::text)
    AND ($7::text IS NULL OR consent = $7)
ORDER BY name_key, id LIMIT $4

-- name: select_contacts_updated
-- Takes tenant, the key (time, id) to start after, limit, and a consent or NULL; returns a page, the longest unchanged first.
SELECT * FROM contacts
WHERE tenant_id = $1 AND (updated_at, id) > ($2::timestamptz, $3::text) AND ($5::text IS NULL OR consent = $5)
ORDER BY updated_at, id LIMIT $4

-- name: erase_contact
-- Takes tenant and id of a locked contact; returns the groups it was in, where there was such a contact. They forget it by
-- themselves.
WITH erased AS (DELETE FROM contacts WHERE tenant_id = $1 AND id = $2 RETURNING id),
    names AS (DELETE FROM contact_identifiers WHERE tenant_id = $1 AND contact_id = $2),
    words AS (DELETE FROM contact_consents WHERE tenant_id = $1 AND contact_id = $2)
SELECT ARRAY(SELECT group_id FROM group_members WHERE tenant_id = $1 AND contact_id = $2) AS group_ids FROM erased

-- name: select_keywords
-- Takes tenants; returns the words of those that have settings of their own.
SELECT tenant_id, stop_words, start_words FROM tenant_settings WHERE tenant_id = ANY($1::text[])
