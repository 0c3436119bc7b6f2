-- name: insert_text_template
-- Takes id, tenant, name, language, body and defaults; returns the template, or nothing where the name is taken in that language.
INSERT INTO templates (id, tenant_id, kind, name, language, body, defaults) VALUES ($1, $2, 'text', $3, $4, $5, $6)
ON CONFLICT (tenant_id, name, language) WHERE kind = 'text' DO NOTHING
RETURNING *

-- name: select_template
-- Takes tenant and id.
SELECT * FROM templates WHERE tenant_id = $1 AND id = $2

-- name: lock_template
-- Takes tenant and id; locks the template and returns it.
SELECT * FROM templates WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: select_templates
-- Takes tenant, id to start after, limit, and kind, name, language and status, each of which may be null for any; returns a page,
-- oldest first.
SELECT * FROM templates
WHERE tenant_id = $1 AND id > $2 AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR name = $5)
  AND ($6::text IS NULL OR language = $6) AND ($7::text IS NULL OR status = $7)
ORDER BY id LIMIT $3

-- name: select_templates_by_id
-- Takes tenant and ids.
SELECT * FROM templates WHERE tenant_id = $1 AND id = ANY($2::text[])

-- name: select_texts_named
-- Takes tenant and names; returns the text templates of these names, in all languages.
SELECT name, language, body, defaults FROM templates WHERE tenant_id = $1 AND name = ANY($2::text[]) AND kind = 'text'

-- name: select_shapes
-- Takes tenant and an array of [name, language]; returns what is known of the components of these WhatsApp templates.
SELECT name, language, category, parameter_format, components
FROM templates
JOIN (SELECT t->>0 AS name, t->>1 AS language FROM jsonb_array_elements($2::jsonb) AS t) AS wanted USING (name, language)
WHERE tenant_id = $1 AND kind = 'whatsapp' AND components IS NOT NULL

-- name: update_text_template
-- Takes tenant and id of a locked template, name, language, body and defaults; returns it. Raises where the name is taken.
UPDATE templates SET name = $3, language = $4, body = $5, defaults = $6, updated_at = now()
WHERE tenant_id = $1 AND id = $2 AND kind = 'text'
RETURNING *

-- name: delete_template
-- Takes tenant and id.
DELETE FROM templates WHERE tenant_id = $1 AND id = $2

-- name: lock_account_templates
-- Takes tenant and account; locks its templates in one order and returns them.
SELECT * FROM templates WHERE tenant_id = $1 AND account_id = $2 AND kind = 'whatsapp' ORDER BY id FOR UPDATE

-- name: lock_noticed_templates
-- Takes an array of [tenant, account, name, language]; locks those that are there in one order and returns them.
SELECT templates.* FROM templates
JOIN (
    SELECT t->>0 AS tenant_id, t->>1 AS account_id, t->>2 AS name, t->>3 AS language FROM jsonb_array_elements($1::jsonb) AS t
) AS noticed USING (tenant_id, account_id, name, language)
WHERE kind = 'whatsapp' ORDER BY templates.tenant_id, templates.id FOR UPDATE OF templates

-- name: own_accounts
-- Takes an array of [tenant, account]; returns those in which the tenant has a number.
SELECT DISTINCT named.tenant_id, named.account_id
FROM (SELECT t->>0 AS tenant_id, t->>1 AS account_id FROM jsonb_array_elements($1::jsonb) AS t) AS named
JOIN numbers ON numbers.tenant_id = named.tenant_id AND numbers.waba_id = named.account_id AND provider = 'cloud_api'

-- name: put_whatsapp_templates
-- Takes an array of templates, each as the columns stand here; writes them, in one order, but nothing over what is told of later.
INSERT INTO templates (id, tenant_id, kind, account_id, name, language, provider_id, status, held, status_at, category, quality,
                       reason, parameter_format, components)
SELECT t->>0, t->>1, 'whatsapp', t->>2, t->>3, t->>4, t->>5, t->>6, t->>7, (t->>8)::timestamptz, t->>9, t->>10, t->>11, t->>12,
       nullif(t->13, 'null')
FROM jsonb_array_elements($1::jsonb) AS t
ORDER BY t->>1, t->>2, t->>3, t->>4
ON CONFLICT (tenant_id, account_id, name, language) WHERE kind = 'whatsapp' DO UPDATE
SET provider_id = EXCLUDED.provider_id, status = EXCLUDED.status, held = EXCLUDED.held, status_at = EXCLUDED.status_at,
    category = EXCLUDED.category, quality = EXCLUDED.quality, reason = EXCLUDED.reason,
    parameter_format = EXCLUDED.parameter_format, components = EXCLUDED.components, updated_at = now()
WHERE templates.status_at <= EXCLUDED.status_at

-- name: claim_template_account
-- Takes seconds; returns an account whose templates are due to be read, and puts it off for so long, so that no other replica reads
-- them meanwhile. Nothing where none is due, or another replica was quicker.
INSERT INTO template_accounts (tenant_id, account_id, due_at)
SELECT numbers.tenant_id, waba_id, now() + make_interval(secs => $1)
FROM numbers
LEFT JOIN template_accounts AS a ON a.tenant_id = numbers.tenant_id AND a.account_id = waba_id COLLATE "C"
WHERE provider = 'cloud_api' AND (a.due_at IS NULL OR a.due_at <= now())
ORDER BY a.due_at NULLS FIRST, numbers.id LIMIT 1
ON CONFLICT (tenant_id, account_id) DO UPDATE SET due_at = EXCLUDED.due_at WHERE template_accounts.due_at <= now()
RETURNING tenant_id, account_id

-- name: settle_template_account
-- Takes tenant, account, seconds until it is due again, the moment of the reading, null where it failed, and the fault. What was
-- made due meanwhile stays due.
UPDATE template_accounts
SET due_at = CASE WHEN due_at <= now() THEN due_at ELSE now() + make_interval(secs => $3) END,
    synced_at = coalesce($4, synced_at), fault = $5
WHERE tenant_id = $1 AND account_id = $2

-- name: make_accounts_due
-- Takes a tenant; its accounts' templates are due to be read now, and how the last reading went is forgotten.
INSERT INTO template_accounts (tenant_id, account_id, due_at)
SELECT DISTINCT tenant_id, waba_id, now() FROM numbers WHERE tenant_id = $1 AND provider = 'cloud_api'
ON CONFLICT (tenant_id, account_id) DO UPDATE SET due_at = EXCLUDED.due_at, fault = NULL

-- name: select_template_accounts
-- Takes a tenant; returns its accounts with when their templates were read.
SELECT n.account_id, due_at, synced_at, fault
FROM (SELECT DISTINCT tenant_id, waba_id COLLATE "C" AS account_id FROM numbers WHERE tenant_id = $1 AND provider = 'cloud_api') AS n
LEFT JOIN template_accounts USING (tenant_id, account_id)
ORDER BY n.account_id

-- name: select_reading_number
-- Takes tenant and account; returns the number through which the account's templates are read.
SELECT id, provider_url, sealed_access_token FROM numbers
WHERE tenant_id = $1 AND waba_id = $2 AND provider = 'cloud_api' ORDER BY status, id DESC LIMIT 1

-- name: insert_draft
-- Takes id, tenant, name and content; returns the draft.
INSERT INTO drafts (id, tenant_id, name, content) VALUES ($1, $2, $3, $4) RETURNING *

-- name: select_draft
-- Takes tenant and id.
SELECT * FROM drafts WHERE tenant_id = $1 AND id = $2

-- name: lock_draft
-- Takes tenant and id; locks the draft and returns it.
SELECT * FROM drafts WHERE tenant_id = $1 AND id = $2 FOR UPDATE

-- name: update_draft
-- Takes tenant and id of a locked draft, name and content; returns it.
UPDATE drafts SET name = $3, content = $4, updated_at = now() WHERE tenant_id = $1 AND id = $2 RETURNING *

-- name: delete_draft
-- Takes tenant and id.
DELETE FROM drafts WHERE tenant_id = $1 AND id = $2

-- name: select_drafts
-- Takes tenant, id to start after and limit; returns a page, oldest first.
SELECT * FROM drafts WHERE tenant_id = $1 AND id > $2 ORDER BY id LIMIT $3

-- name: select_contents
-- Takes a tenant and ids of drafts and of messages; returns the contents of those that are there.
SELECT id, content FROM drafts WHERE tenant_id = $1 AND id = ANY($2::text[])
UNION ALL
SELECT id, content FROM messages WHERE tenant_id = $1 AND id = ANY($2::text[])
