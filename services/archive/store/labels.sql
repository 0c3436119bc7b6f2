-- name: label_entries
-- Takes the tenant, entries, labels and who asks; puts each label on each entry that is the tenant's; gives these entries.
-- They are locked, in the order of their ids: whoever removes them waits, and then finds the labels too.
WITH entry AS MATERIALIZED (
    SELECT entries.id, entries.conversation_id, entries.sent_at, conversations.conversation_no, tenants.tenant_no
    FROM entries
    JOIN conversations ON conversations.id = entries.conversation_id
    JOIN tenants ON tenants.tenant_id = entries.tenant_id
    WHERE entries.id = ANY($2::text[]) AND entries.tenant_id = $1
    ORDER BY entries.id
    FOR KEY SHARE OF entries
), put AS (
    INSERT INTO entry_labels (tenant_no, label, sent_at, entry_id, conversation_no, created_by)
    SELECT entry.tenant_no, label, entry.sent_at, entry.id, entry.conversation_no, $4
    FROM entry CROSS JOIN unnest($3::text[]) AS label
    ORDER BY label, entry.sent_at, entry.id
    ON CONFLICT DO NOTHING
)
SELECT id, conversation_id FROM entry

-- name: unlabel_entries
-- Takes the tenant, entries and labels; takes each label off each entry; gives the conversations of those that had one.
WITH off AS (
    DELETE FROM entry_labels
    USING tenants
    WHERE entry_labels.entry_id = ANY($2::text[]) AND entry_labels.label = ANY($3::text[])
      AND tenants.tenant_no = entry_labels.tenant_no AND tenants.tenant_id = $1
    RETURNING conversation_no
)
SELECT id FROM conversations WHERE conversation_no IN (SELECT conversation_no FROM off)

-- name: label_conversations
-- Takes the tenant, conversations, labels and who asks; puts each label on each conversation that is the tenant's; gives these.
WITH conversation AS (
    SELECT conversations.id, conversations.conversation_no, tenants.tenant_no
    FROM conversations JOIN tenants ON tenants.tenant_id = conversations.tenant_id
    WHERE conversations.id = ANY($2::text[]) AND conversations.tenant_id = $1 AND conversations.last_entry_at IS NOT NULL
), put AS (
    INSERT INTO conversation_labels (tenant_no, label, conversation_no, created_by)
    SELECT conversation.tenant_no, label, conversation.conversation_no, $4
    FROM conversation CROSS JOIN unnest($3::text[]) AS label
    ORDER BY label, conversation.conversation_no
    ON CONFLICT DO NOTHING
)
SELECT id FROM conversation

-- name: unlabel_conversations
-- Takes the tenant, conversations and labels; takes each label off each conversation; gives how many were on.
WITH off AS (
    DELETE FROM conversation_labels
    USING conversations
    WHERE conversation_labels.conversation_no = conversations.conversation_no AND conversations.id = ANY($2::text[])
      AND conversations.tenant_id = $1 AND conversation_labels.label = ANY($3::text[])
    RETURNING 1
)
SELECT count(*) FROM off

-- name: labels_of_entry
-- Takes the tenant and an entry; gives its labels.
SELECT label FROM entry_labels JOIN tenants USING (tenant_no) WHERE entry_id = $2 AND tenants.tenant_id = $1 ORDER BY label

-- name: labels_of_conversation
-- Takes the tenant and a conversation; gives its labels.
SELECT label
FROM conversation_labels JOIN conversations USING (conversation_no)
WHERE conversations.tenant_id = $1 AND conversations.id = $2
ORDER BY label

-- name: has_entry
-- Takes the tenant and an id; gives whether there is such an entry.
SELECT true FROM entries WHERE tenant_id = $1 AND id = $2

-- name: labels_page
-- Takes the tenant's number, the label to go on after and a limit; gives labels by name, with how many entries and conversations have
-- them. Finds the names by skipping from one to the next, and counts those of the page only.
WITH RECURSIVE name AS (
    SELECT least(
        (SELECT label FROM entry_labels WHERE tenant_no = $1 AND label > $2 ORDER BY label LIMIT 1),
        (SELECT label FROM conversation_labels WHERE tenant_no = $1 AND label > $2 ORDER BY label LIMIT 1)
    ) AS label, 1 AS place
    UNION ALL
    SELECT least(
        (SELECT label FROM entry_labels WHERE tenant_no = $1 AND label > name.label ORDER BY label LIMIT 1),
        (SELECT label FROM conversation_labels WHERE tenant_no = $1 AND label > name.label ORDER BY label LIMIT 1)
    ), place + 1
    FROM name
    WHERE name.label IS NOT NULL AND place < $3
)
SELECT name.label,
       (SELECT count(*) FROM entry_labels WHERE tenant_no = $1 AND entry_labels.label = name.label) AS entries,
       (SELECT count(*) FROM conversation_labels WHERE tenant_no = $1 AND conversation_labels.label = name.label) AS conversations
FROM name
WHERE name.label IS NOT NULL
ORDER BY name.label

-- name: label_counts
-- Takes the tenant's number and a label; gives how many entries and conversations have it.
SELECT (SELECT count(*) FROM entry_labels WHERE tenant_no = $1 AND label = $2) AS entries,
       (SELECT count(*) FROM conversation_labels WHERE tenant_no = $1 AND label = $2) AS conversations

-- name: labeled_entries_page
-- Takes the tenant's number, a label, the place to go on from and a limit; gives entries that have it, newest first.
SELECT page.entry_id, page.sent_at, conversations.id AS conversation_id, entries.direction, entries.type, entries.content,
       entries.revoked_at
FROM (
    SELECT entry_id, sent_at, conversation_no FROM entry_labels
    WHERE tenant_no = $1 AND label = $2 AND (sent_at, entry_id) < ($3::timestamptz, $4::text)
    ORDER BY sent_at DESC, entry_id DESC
    LIMIT $5
) AS page
JOIN conversations ON conversations.conversation_no = page.conversation_no
JOIN entries ON entries.id = page.entry_id AND entries.sent_at = page.sent_at
ORDER BY page.sent_at DESC, page.entry_id DESC

-- name: labeled_conversations_page
-- Takes the tenant's number, a label, the conversation number to go on below and a limit; gives conversations that have it.
SELECT conversation_labels.conversation_no, conversations.id, conversation_labels.created_at
FROM conversation_labels JOIN conversations USING (conversation_no)
WHERE conversation_labels.tenant_no = $1 AND conversation_labels.label = $2 AND conversation_labels.conversation_no < $3
ORDER BY conversation_labels.conversation_no DESC
LIMIT $4

-- name: rename_label
-- Takes the tenant's number, a label and another; gives what has the first the second instead; gives how many things it was on, and the
-- conversations of the entries among them.
WITH entries_off AS (
    DELETE FROM entry_labels WHERE tenant_no = $1 AND label = $2 RETURNING *
), entries_on AS (
    INSERT INTO entry_labels (tenant_no, label, sent_at, entry_id, conversation_no, created_by, created_at)
    SELECT tenant_no, $3, sent_at, entry_id, conversation_no, created_by, created_at FROM entries_off
    ON CONFLICT DO NOTHING
), conversations_off AS (
    DELETE FROM conversation_labels WHERE tenant_no = $1 AND label = $2 RETURNING *
), conversations_on AS (
    INSERT INTO conversation_labels (tenant_no, label, conversation_no, created_by, created_at)
    SELECT tenant_no, $3, conversation_no, created_by, created_at FROM conversations_off
    ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM entries_off) + (SELECT count(*) FROM conversations_off) AS things,
       ARRAY(SELECT id FROM conversations WHERE conversation_no IN (SELECT conversation_no FROM entries_off)) AS conversation_ids

-- name: delete_label
-- Takes the tenant's number and a label; takes it off everything; gives how many things it was on, and the conversations of the entries
-- among them.
WITH entries_off AS (
    DELETE FROM entry_labels WHERE tenant_no = $1 AND label = $2 RETURNING conversation_no
), conversations_off AS (
    DELETE FROM conversation_labels WHERE tenant_no = $1 AND label = $2 RETURNING 1
)
SELECT (SELECT count(*) FROM entries_off) + (SELECT count(*) FROM conversations_off) AS things,
       ARRAY(SELECT id FROM conversations WHERE conversation_no IN (SELECT conversation_no FROM entries_off)) AS conversation_ids
