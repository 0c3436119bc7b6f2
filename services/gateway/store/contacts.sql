-- name: lock_contacts_called
-- Takes tenant and an array of [kind, value]; locks the contacts called so in one order, so that two batches never wait for each
-- other; returns their ids.
SELECT id FROM contacts
WHERE tenant_id = $1 AND id = ANY (ARRAY(
    SELECT contact_id
    FROM contact_identifiers
    JOIN (SELECT t.n->>0 AS kind, t.n->>1 AS value FROM jsonb_array_elements($2::jsonb) AS t (n)) AS names USING (kind, value)
    WHERE tenant_id = $1
))
ORDER BY id FOR UPDATE

-- name: lock_contact
-- Takes tenant and id; locks the contact and returns its id.
SELECT id FROM contacts WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: select_contacts_by_id
-- Takes tenant and ids; returns those contacts.
SELECT * FROM contacts WHERE tenant_id = $1 AND id = ANY($2::text[])

-- name: select_identifiers
-- Takes tenant and contact ids; returns what they are called by.
SELECT contact_id, kind, value FROM contact_identifiers WHERE tenant_id = $1 AND contact_id = ANY($2::text[])

-- name: select_called
-- Takes tenant, kind and value; returns the id of the contact called so.
SELECT contact_id FROM contact_identifiers WHERE tenant_id = $1 AND kind = $2 AND value = $3

-- name: update_contacts
-- Takes tenant and an array of contacts, each with its id and all that can change of it. Their rows are locked.
UPDATE contacts
SET name = t.c->>1, name_key = t.c->>2, language = t.c->>3, time_zone = t.c->>4, attributes = (t.c->>5)::jsonb,
    consent = t.c->>6, consent_scope = t.c->>7, consent_source = t.c->>8, consent_at = (t.c->>9)::timestamptz,
    general = t.c->>10, general_at = (t.c->>11)::timestamptz, general_source = t.c->>12,
    marketing = t.c->>13, marketing_at = (t.c->>14)::timestamptz, marketing_source = t.c->>15, updated_at = $3
FROM jsonb_array_elements($2::jsonb) AS t (c)
WHERE contacts.tenant_id = $1 AND contacts.id = t.c->>0

-- name: delete_identifiers
-- Takes tenant and an array of [kind, value, contact id]; those are no longer called so.
DELETE FROM contact_identifiers AS i
USING jsonb_array_elements($2::jsonb) AS t (n)
WHERE i.tenant_id = $1 AND i.kind = t.n->>0 AND i.value = t.n->>1 AND i.contact_id = t.n->>2

-- name: insert_consents
-- Takes tenant and an array of [contact id, time, scope, consent, source]; what is there already is not written again.
INSERT INTO contact_consents (tenant_id, contact_id, at, scope, consent, source)
SELECT $1, t.w->>0, (t.w->>1)::timestamptz, t.w->>2, t.w->>3, t.w->>4 FROM jsonb_array_elements($2::jsonb) AS t (w)
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
-- Takes tenant and id; returns a row where there was such a contact. Their groups forget them by themselves.
WITH erased AS (DELETE FROM contacts WHERE tenant_id = $1 AND id = $2 RETURNING id),
    names AS (DELETE FROM contact_identifiers WHERE tenant_id = $1 AND contact_id = $2),
    words AS (DELETE FROM contact_consents WHERE tenant_id = $1 AND contact_id = $2)
SELECT id FROM erased

-- name: select_keywords
-- Takes tenants; returns the words of those that have settings of their own.
SELECT tenant_id, stop_words, start_words FROM tenant_settings WHERE tenant_id = ANY($1::text[])
