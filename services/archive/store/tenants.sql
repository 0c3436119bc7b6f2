-- name: tenant_numbers
-- Takes tenants; gives the numbers of those that have one.
SELECT tenant_id, tenant_no FROM tenants WHERE tenant_id = ANY($1::text[])

-- name: number_tenants
-- Takes tenants; numbers those that have none yet. Twice, or from two places at once, is safe. Locks nothing that others wait for.
INSERT INTO tenants (tenant_id) SELECT tenant_id FROM unnest($1::text[]) AS tenant_id ORDER BY tenant_id
ON CONFLICT (tenant_id) DO NOTHING
