-- name: ensure_month
-- Takes any moment; makes the partition of its month if it is missing, one process at a time; returns whether it did.
SELECT ensure_month($1::timestamptz)

-- name: record
-- Takes progress ($1, one item per message) and entries ($2) as JSON arrays, because asyncpg takes three times as long over arrays of
-- PostgreSQL's. Adds the progress up, stores the entries whose key is new, and counts them in their conversations, which are made
-- where they are missing. Locks outgoing, incoming and conversations in this order, each in key order.
WITH told AS (
    SELECT fact->>0 AS message_id, fact->>1 AS tenant_id, (fact->>2)::integer AS height, fact->>3 AS status,
           (fact->>4)::timestamptz AS status_at, fact->>5 AS error_code, fact->>6 AS wamid, (fact->>7)::integer AS wamid_attempt,
           fact->>8 AS entry_id
    FROM jsonb_array_elements($1::jsonb) AS fact
), entry AS (
    SELECT fields->>0 AS id, (fields->>1)::timestamptz AS sent_at, fields->>2 AS tenant_id, fields->>3 AS number_id,
           fields->>4 AS contact_phone, fields->>5 AS contact_name, fields->>6 AS direction, fields->>7 AS message_id,
           fields->>8 AS wamid, fields->>9 AS type, fields->>10 AS body, fields->11 AS content, (fields->>12)::boolean AS is_unread,
           fields->>13 AS preview, fields->>14 AS tsv
    FROM jsonb_array_elements($2::jsonb) AS fields
), added_up AS (
    INSERT INTO outgoing AS known (message_id, tenant_id, height, status, status_at, error_code, wamid, wamid_attempt, entry_id)
    SELECT * FROM told ORDER BY tenant_id, message_id
    ON CONFLICT (tenant_id, message_id) DO UPDATE
    SET entry_id = coalesce(known.entry_id, excluded.entry_id),
        -- The higher fact wins, of equal ones the earlier. Spelt out: a subquery a row takes most of the statement's time.
        status = CASE WHEN (excluded.height, known.status_at, coalesce(excluded.error_code, ''))
                         > (known.height, excluded.status_at, coalesce(known.error_code, ''))
                      THEN excluded.status ELSE known.status END,
        error_code = CASE WHEN (excluded.height, known.status_at, coalesce(excluded.error_code, ''))
                             > (known.height, excluded.status_at, coalesce(known.error_code, ''))
                          THEN excluded.error_code ELSE known.error_code END,
        status_at = CASE WHEN excluded.height > known.height THEN excluded.status_at
                         WHEN excluded.height = known.height THEN least(excluded.status_at, known.status_at)
                         ELSE known.status_at END,
        height = greatest(excluded.height, known.height),
        wamid = CASE WHEN (excluded.wamid_attempt, coalesce(excluded.wamid, ''))
                        > (known.wamid_attempt, coalesce(known.wamid, ''))
                     THEN excluded.wamid ELSE known.wamid END,
        wamid_attempt = greatest(excluded.wamid_attempt, known.wamid_attempt)
    WHERE (known.entry_id IS NULL AND excluded.entry_id IS NOT NULL)
       OR excluded.height > known.height
       OR excluded.wamid_attempt > known.wamid_attempt
       OR (excluded.height = known.height AND excluded.status_at < known.status_at)
    RETURNING entry_id
), arrived AS (
    INSERT INTO incoming (number_id, wamid, tenant_id, entry_id, sent_at)
    SELECT number_id, wamid, tenant_id, id, sent_at FROM entry WHERE message_id IS NULL ORDER BY number_id, wamid
    ON CONFLICT (number_id, wamid) DO NOTHING
    RETURNING entry_id
), fresh AS MATERIALIZED (
    SELECT entry.*
    FROM entry JOIN (SELECT entry_id FROM added_up UNION ALL SELECT entry_id FROM arrived) AS key ON key.entry_id = entry.id
), counted AS (
    SELECT tenant_id, number_id, contact_phone,
           'cnv_' || right(min(id), 26) AS id,  -- should it be new: its first entry's, which nobody else has
           count(*) AS entries,
           count(*) FILTER (WHERE is_unread) AS unread,
           (array_agg(id ORDER BY sent_at DESC, id DESC))[1] AS last_id,
           (array_agg(contact_name ORDER BY sent_at DESC, id DESC) FILTER (WHERE contact_name IS NOT NULL))[1] AS name,
           max(sent_at) FILTER (WHERE contact_name IS NOT NULL) AS named_at
    FROM fresh
    GROUP BY tenant_id, number_id, contact_phone
), opened AS (
    INSERT INTO conversations AS known (
        id, tenant_id, number_id, contact_phone, contact_name, contact_named_at, entry_count, unread_count, last_entry_at,
        last_entry_id, last_direction, last_type, last_preview
    )
    SELECT counted.id, counted.tenant_id, counted.number_id, counted.contact_phone, counted.name, counted.named_at,
           counted.entries, counted.unread, last.sent_at, last.id, last.direction, last.type, last.preview
    FROM counted JOIN fresh AS last ON last.id = counted.last_id
    ORDER BY counted.tenant_id, counted.number_id, counted.contact_phone
    ON CONFLICT (tenant_id, number_id, contact_phone) DO UPDATE
    SET entry_count = known.entry_count + excluded.entry_count,
        unread_count = known.unread_count + excluded.unread_count,
        -- The newest name and the newest entry win; each column decides alike.
        contact_name = CASE WHEN excluded.contact_named_at < known.contact_named_at THEN known.contact_name
                            ELSE coalesce(excluded.contact_name, known.contact_name) END,
        contact_named_at = greatest(excluded.contact_named_at, known.contact_named_at),
        last_direction = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                              THEN known.last_direction ELSE excluded.last_direction END,
        last_type = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                         THEN known.last_type ELSE excluded.last_type END,
        last_preview = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                            THEN known.last_preview ELSE excluded.last_preview END,
        last_entry_id = CASE WHEN (excluded.last_entry_at, excluded.last_entry_id) < (known.last_entry_at, known.last_entry_id)
                             THEN known.last_entry_id ELSE excluded.last_entry_id END,
        last_entry_at = greatest(excluded.last_entry_at, known.last_entry_at)
    RETURNING id, tenant_id, number_id, contact_phone
)
INSERT INTO entries (id, sent_at, tenant_id, conversation_id, direction, message_id, wamid, type, body, content, tsv)
SELECT fresh.id, fresh.sent_at, fresh.tenant_id, opened.id, fresh.direction, fresh.message_id, fresh.wamid, fresh.type,
       fresh.body, fresh.content, fresh.tsv::tsvector
FROM fresh JOIN opened USING (tenant_id, number_id, contact_phone)

-- name: forget_without_entry
-- Takes days; deletes at most 10,000 facts about messages whose entry never came.
DELETE FROM outgoing
WHERE (tenant_id, message_id) IN (
    SELECT tenant_id, message_id FROM outgoing
    WHERE entry_id IS NULL AND told_at < now() - make_interval(days => $1)
    ORDER BY told_at
    LIMIT 10000
)

-- name: conversations_page
-- Takes the tenant, the place to go on from and a limit; gives conversations that have entries, the newest entry first.
SELECT id, number_id, contact_phone, contact_name, entry_count, unread_count, last_entry_at, last_entry_id, last_direction,
       last_type, last_preview
FROM conversations
WHERE tenant_id = $1 AND last_entry_at IS NOT NULL AND (last_entry_at, id) < ($2::timestamptz, $3::text)
ORDER BY last_entry_at DESC, id DESC
LIMIT $4

-- name: conversation
-- Takes the tenant and an id; gives the conversation, if it is the tenant's and has entries.
SELECT id, number_id, contact_phone, contact_name, entry_count, unread_count, last_entry_at, last_entry_id, last_direction,
       last_type, last_preview
FROM conversations
WHERE tenant_id = $1 AND id = $2 AND last_entry_at IS NOT NULL

-- name: entries_page
-- Takes the tenant, a conversation of his, the place to go on from and a limit; gives its entries, newest first.
SELECT entries.id, entries.sent_at, entries.conversation_id, entries.direction, entries.message_id, entries.type,
       entries.content, coalesce(entries.wamid, outgoing.wamid) AS wamid, outgoing.status, outgoing.status_at,
       outgoing.error_code, entries.edited_at, entries.revoked_at, entries.media
FROM entries
LEFT JOIN outgoing ON outgoing.tenant_id = entries.tenant_id AND outgoing.message_id = entries.message_id
WHERE entries.tenant_id = $1 AND entries.conversation_id = $2 AND (entries.sent_at, entries.id) < ($3::timestamptz, $4::text)
ORDER BY entries.sent_at DESC, entries.id DESC
LIMIT $5

-- name: search
-- Takes the tenant, a tsquery, the place to go on from and a limit; gives entries that hold all terms, newest first.
-- In two steps, so that the planner cannot walk by time through everything in the hope of an early match.
WITH found AS MATERIALIZED (
    SELECT id, sent_at FROM entries
    WHERE tenant_id = $1 AND tsv @@ $2::text::tsquery AND (sent_at, id) < ($3::timestamptz, $4::text)
), newest AS MATERIALIZED (
    SELECT id, sent_at FROM found ORDER BY sent_at DESC, id DESC LIMIT $5
)
SELECT entries.id, entries.sent_at, entries.conversation_id, entries.direction, entries.type, entries.body
FROM newest JOIN entries ON entries.id = newest.id AND entries.sent_at = newest.sent_at
ORDER BY entries.sent_at DESC, entries.id DESC
