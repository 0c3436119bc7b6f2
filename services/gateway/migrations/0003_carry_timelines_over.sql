-- no transaction
-- Carries the timelines of the table into the messages' rows, some thousand messages at a time, so that nobody waits long for a row.
-- Twice is safe: what is carried over is left alone, so a run that was cut short is just started again.
DO $$
DECLARE
    tenant  text := '';
    message text := '';
    page    record;
BEGIN
    LOOP
        SELECT max(tenant_id) AS tenant, (array_agg(id ORDER BY tenant_id DESC, id DESC))[1] AS message INTO page
        FROM (SELECT tenant_id, id FROM messages WHERE (tenant_id, id) > (tenant, message) ORDER BY tenant_id, id LIMIT 5000) AS p;
        EXIT WHEN page.message IS NULL;
        UPDATE messages m
        SET timeline = carried.lines
        FROM (
            SELECT p.tenant_id, p.id, string_agg(
                t.status || ' ' || replace(to_char(t.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), '.000000Z', 'Z')
                || coalesce(' ' || t.code, '') || E'\n', '' ORDER BY t.at) AS lines
            FROM messages p JOIN timeline t ON t.message_id = p.id
            WHERE (p.tenant_id, p.id) > (tenant, message) AND (p.tenant_id, p.id) <= (page.tenant, page.message)
            GROUP BY p.tenant_id, p.id
        ) AS carried
        WHERE m.tenant_id = carried.tenant_id AND m.id = carried.id AND m.timeline = '';
        COMMIT;
        tenant := page.tenant;
        message := page.message;
    END LOOP;
END
$$
