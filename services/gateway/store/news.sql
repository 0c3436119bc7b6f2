-- name: take_news
-- Takes tenants and digests as arrays; returns those that were not there. They are now.
INSERT INTO taken_news (tenant_id, digest) SELECT DISTINCT * FROM unnest($1::text[], $2::bytea[]) ORDER BY 1, 2
ON CONFLICT DO NOTHING
RETURNING tenant_id, digest

-- name: prune_news
-- Takes an age and a limit; forgets what was taken longer ago.
DELETE FROM taken_news WHERE ctid = ANY (ARRAY(SELECT ctid FROM taken_news WHERE taken_at < now() - $1::interval LIMIT $2))

-- name: numbers_of_accounts
-- Takes an array of [tenant, account]; returns the numbers that these tenants have in these accounts.
SELECT numbers.tenant_id, numbers.waba_id AS account_id, numbers.id, numbers.phone_number_id, numbers.display_number
FROM (SELECT DISTINCT t->>0 AS tenant_id, t->>1 AS account_id FROM jsonb_array_elements($1::jsonb) AS t) AS named
JOIN numbers ON numbers.tenant_id = named.tenant_id AND numbers.waba_id = named.account_id AND provider = 'cloud_api'
ORDER BY numbers.tenant_id, numbers.id

-- name: put_health
-- Takes tenants, number ids, aspects, values and times as arrays, each aspect of a number once; writes those that nothing later has
-- been told of, and returns them.
INSERT INTO number_health AS known (tenant_id, number_id, aspect, value, told_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) ORDER BY 1, 2, 3
ON CONFLICT (tenant_id, number_id, aspect) DO UPDATE SET value = excluded.value, told_at = excluded.told_at
WHERE excluded.told_at >= known.told_at
RETURNING tenant_id, number_id, aspect, value

-- name: select_health
-- Takes tenant and number ids; returns all that is known of them.
SELECT number_id, aspect, value, told_at FROM number_health WHERE tenant_id = $1 AND number_id = ANY($2::text[])

-- name: contacts_half_named
-- Takes an array of [tenant, user id, spellings of a phone number] as the provider joins them; returns those of which the one is a
-- contact's that has none of the other kind, and the other is nobody's; the number as the contact has it, else in its first spelling.
SELECT named.tenant_id, coalesce(by_phone.value, named.phones->>0) AS phone, named.user_id
FROM (SELECT t->>0 AS tenant_id, t->>1 AS user_id, t->2 AS phones FROM jsonb_array_elements($1::jsonb) AS t) AS named
LEFT JOIN LATERAL (
    SELECT i.contact_id, i.value
    FROM jsonb_array_elements_text(named.phones) AS spelling (value)
    CROSS JOIN LATERAL (
        SELECT contact_id, value FROM contact_identifiers
        WHERE tenant_id = named.tenant_id AND kind = 'phone' AND value = spelling.value LIMIT 1
    ) AS i
    LIMIT 1
) AS by_phone ON true
LEFT JOIN LATERAL (
    SELECT contact_id FROM contact_identifiers
    WHERE tenant_id = named.tenant_id AND kind = 'user_id' AND value = named.user_id LIMIT 1
) AS by_user_id ON true
WHERE (by_phone.contact_id IS NULL) <> (by_user_id.contact_id IS NULL) AND NOT EXISTS (
    SELECT FROM contact_identifiers AS i
    WHERE i.tenant_id = named.tenant_id AND i.contact_id = coalesce(by_phone.contact_id, by_user_id.contact_id)
        AND i.kind = CASE WHEN by_phone.contact_id IS NULL THEN 'phone' ELSE 'user_id' END
)
