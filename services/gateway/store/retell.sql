-- name: retell_numbers
-- Takes an id to begin after and a limit; returns numbers of all tenants.
SELECT * FROM numbers WHERE id > $1 ORDER BY id LIMIT $2

-- name: retell_settings
-- Takes a tenant's id to begin after and a limit; returns what tenants have chosen.
SELECT *, tenant_id AS id FROM tenant_settings WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2

-- name: retell_templates
-- Takes a tenant and an id to begin after and a limit; returns the providers' templates of all tenants.
SELECT * FROM templates WHERE kind = 'whatsapp' AND (tenant_id, id) > ($1, $2) ORDER BY tenant_id, id LIMIT $3

-- name: retell_opt_outs
-- Takes a tenant and a contact's id to begin after and a limit; returns who does not want to be written to, with their phone number
-- and their user id, as far as they have them.
SELECT contacts.tenant_id, contacts.id, consent, consent_scope, consent_source, consent_at, phone.value AS phone,
       user_id.value AS user_id
FROM contacts
LEFT JOIN LATERAL (
    SELECT value FROM contact_identifiers
    WHERE contact_identifiers.tenant_id = contacts.tenant_id AND contact_id = contacts.id AND kind = 'phone' LIMIT 1
) AS phone ON true
LEFT JOIN LATERAL (
    SELECT value FROM contact_identifiers
    WHERE contact_identifiers.tenant_id = contacts.tenant_id AND contact_id = contacts.id AND kind = 'user_id' LIMIT 1
) AS user_id ON true
WHERE consent = 'opted_out' AND (contacts.tenant_id, contacts.id) > ($1, $2)
ORDER BY contacts.tenant_id, contacts.id LIMIT $3

-- name: retell_kept_opt_outs
-- Takes a tenant and an address to begin after and a limit; returns what is kept of those who opted out and were erased.
SELECT tenant_id, phone AS id, phone AS address, scope, at, source FROM kept_opt_outs
WHERE (tenant_id, phone) > ($1, $2) ORDER BY tenant_id, phone LIMIT $3

-- name: retell_tenants
-- Takes a tenant's id to begin after and a limit.
SELECT id FROM tenants WHERE id > $1 ORDER BY id LIMIT $2

-- name: retell_messages
-- Takes a tenant, a message's id to begin before and a limit; returns its messages, the newest first.
SELECT * FROM messages WHERE tenant_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3
