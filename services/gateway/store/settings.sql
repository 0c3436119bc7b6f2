-- name: lock_settings
-- Takes a tenant and the settings of one who has chosen nothing yet; returns the row, nobody else's to change until the transaction
-- ends, made where there was none.
INSERT INTO tenant_settings (tenant_id, revision, time_zone, stop_words, start_words) VALUES ($1, 0, $2, $3, $4)
ON CONFLICT (tenant_id) DO UPDATE SET tenant_id = tenant_settings.tenant_id
RETURNING *

-- name: update_settings
-- Takes the tenant of a locked row and all that can change of it; returns it under its next revision.
UPDATE tenant_settings
SET revision = revision + 1, time_zone = $2, hours = $3, stop_words = $4, start_words = $5, updated_at = now()
WHERE tenant_id = $1
RETURNING *

-- name: select_settings
-- Takes a tenant; returns what it has chosen, or nothing where it has chosen nothing.
SELECT * FROM tenant_settings WHERE tenant_id = $1
