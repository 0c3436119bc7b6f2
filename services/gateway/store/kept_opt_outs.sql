-- LATERAL with LIMIT: see contacts.sql.

-- name: keep_opt_out
-- Takes tenant, phone, scope, time and source; what was kept before is never narrowed.
INSERT INTO kept_opt_outs AS kept (tenant_id, phone, scope, at, source) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, phone) DO UPDATE
SET scope = CASE WHEN kept.scope = 'all' THEN 'all' ELSE excluded.scope END, at = greatest(kept.at, excluded.at),
    source = excluded.source

-- name: select_kept_opt_outs
-- Takes tenant and phones; returns what is kept of them.
SELECT t.phone, kept.scope, kept.at, kept.source
FROM unnest($2::text[]) AS t (phone)
CROSS JOIN LATERAL (SELECT * FROM kept_opt_outs AS k WHERE k.tenant_id = $1 AND k.phone = t.phone LIMIT 1) AS kept

-- name: forget_opt_outs
-- Takes tenant and phones; those have opted in since.
DELETE FROM kept_opt_outs WHERE ctid = ANY (ARRAY(
    SELECT found.place
    FROM unnest($2::text[]) AS t (phone)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM kept_opt_outs AS k WHERE k.tenant_id = $1 AND k.phone = t.phone LIMIT 1
    ) AS found
))
