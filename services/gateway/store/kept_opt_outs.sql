-- LATERAL with LIMIT: see contacts.sql. The column `phone` has addresses of both kinds.

-- name: keep_opt_out
-- Takes tenant, addresses, scope, time and source; what was kept before is never narrowed.
INSERT INTO kept_opt_outs AS kept (tenant_id, phone, scope, at, source)
SELECT $1, t.address, $3, $4, $5 FROM unnest($2::text[]) AS t (address)
ON CONFLICT (tenant_id, phone) DO UPDATE
SET scope = CASE WHEN kept.scope = 'all' THEN 'all' ELSE excluded.scope END, at = greatest(kept.at, excluded.at),
    source = excluded.source

-- name: select_kept_opt_outs
-- Takes tenant and addresses; returns what is kept of them, in plain text or, of those who were erased, by a digest.
SELECT t.address, kept.scope, kept.at, kept.source
FROM unnest($2::text[]) AS t (address)
CROSS JOIN LATERAL (
    (SELECT scope, at, source FROM kept_opt_outs AS k WHERE k.tenant_id = $1 AND k.phone = t.address LIMIT 1)
    UNION ALL
    (
        SELECT scope, at, source FROM erased_opt_outs AS e
        WHERE e.tenant_id = $1
          AND e.digest = sha256((SELECT key FROM digest_key WHERE is_only) || convert_to(t.address, 'UTF8'))
        LIMIT 1
    )
    LIMIT 1
) AS kept

-- name: forget_opt_outs
-- Takes tenant and addresses; those have opted in since.
WITH erased AS (
    DELETE FROM erased_opt_outs WHERE ctid = ANY (ARRAY(
        SELECT found.place
        FROM unnest($2::text[]) AS t (address)
        CROSS JOIN LATERAL (
            SELECT ctid AS place FROM erased_opt_outs AS e
            WHERE e.tenant_id = $1
              AND e.digest = sha256((SELECT key FROM digest_key WHERE is_only) || convert_to(t.address, 'UTF8'))
            LIMIT 1
        ) AS found
    ))
)
DELETE FROM kept_opt_outs WHERE ctid = ANY (ARRAY(
    SELECT found.place
    FROM unnest($2::text[]) AS t (address)
    CROSS JOIN LATERAL (
        SELECT ctid AS place FROM kept_opt_outs AS k WHERE k.tenant_id = $1 AND k.phone = t.address LIMIT 1
    ) AS found
))
