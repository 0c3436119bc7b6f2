-- name: sent_as
-- Takes tenants and message ids as arrays; returns of those messages that were attempted their wamid, if one was sent, and the state
-- of the last attempt.
SELECT t.tenant_id, t.message_id,
       max(a.wamid) FILTER (WHERE a.state = 'sent') AS wamid,
       (array_agg(a.state ORDER BY a.attempt DESC))[1] AS state
FROM (SELECT DISTINCT tenant_id, message_id FROM unnest($1::text[], $2::text[]) AS given (tenant_id, message_id)) AS t
JOIN attempts AS a ON a.message_id = t.message_id AND a.tenant_id = t.tenant_id
GROUP BY t.tenant_id, t.message_id
