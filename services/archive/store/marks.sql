-- name: put_bookmark
-- Takes an id for a new one, the tenant, an entry, a note and who asks; bookmarks the entry, or changes its note; gives the bookmark,
-- none where the tenant has no such entry. An entry is looked for in every month: its id does not tell which one it is in. It is locked:
-- whoever removes it waits, and then finds the bookmark too.
WITH entry AS (
    SELECT entries.id, entries.sent_at, conversations.conversation_no, tenants.tenant_no
    FROM entries
    JOIN conversations ON conversations.id = entries.conversation_id
    JOIN tenants ON tenants.tenant_id = entries.tenant_id
    WHERE entries.id = $3 AND entries.tenant_id = $2
    FOR KEY SHARE OF entries
), put AS (
    INSERT INTO bookmarks AS known (id, tenant_no, conversation_no, entry_id, sent_at, note, created_by)
    SELECT $1, entry.tenant_no, entry.conversation_no, entry.id, entry.sent_at, $4, $5 FROM entry
    ON CONFLICT (entry_id) DO UPDATE
    SET note = excluded.note, updated_at = CASE WHEN known.note = excluded.note THEN known.updated_at ELSE now() END
    RETURNING known.id, entry_id, sent_at, conversation_no, note, created_by, created_at, updated_at
)
SELECT put.*, conversations.id AS conversation_id, put.id = $1 AS is_new
FROM put JOIN conversations USING (conversation_no)

-- name: bookmark
-- Takes the tenant and an entry; gives its bookmark.
SELECT bookmarks.id, bookmarks.entry_id, bookmarks.sent_at, bookmarks.note, bookmarks.created_by, bookmarks.created_at,
       bookmarks.updated_at, conversations.id AS conversation_id
FROM bookmarks
JOIN conversations ON conversations.conversation_no = bookmarks.conversation_no
WHERE bookmarks.entry_id = $2 AND conversations.tenant_id = $1

-- name: delete_bookmark
-- Takes the tenant and an entry; takes its bookmark away; gives the conversation, none where there was no bookmark.
DELETE FROM bookmarks
USING conversations
WHERE bookmarks.entry_id = $2 AND conversations.conversation_no = bookmarks.conversation_no AND conversations.tenant_id = $1
RETURNING conversations.id

-- name: bookmarks_page
-- Takes the tenant's number, the place to go on from and a limit; gives bookmarks with the beginning of what their entries say, the
-- newest bookmark first.
SELECT page.*, conversations.id AS conversation_id, entries.direction, entries.type, entries.content, entries.revoked_at
FROM (
    SELECT id, entry_id, sent_at, conversation_no, note, created_by, created_at, updated_at
    FROM bookmarks
    WHERE tenant_no = $1 AND (created_at, id) < ($2::timestamptz, $3::text)
    ORDER BY created_at DESC, id DESC
    LIMIT $4
) AS page
JOIN conversations ON conversations.conversation_no = page.conversation_no
JOIN entries ON entries.id = page.entry_id AND entries.sent_at = page.sent_at
ORDER BY page.created_at DESC, page.id DESC

-- name: bookmarks_of_conversation_page
-- Takes the tenant's number, the place to go on from, a limit and a conversation of his; gives its bookmarks as the page of all does.
SELECT page.*, conversations.id AS conversation_id, entries.direction, entries.type, entries.content, entries.revoked_at
FROM (
    SELECT bookmarks.id, bookmarks.entry_id, bookmarks.sent_at, bookmarks.conversation_no, bookmarks.note, bookmarks.created_by,
           bookmarks.created_at, bookmarks.updated_at
    FROM bookmarks
    WHERE bookmarks.conversation_no = (SELECT conversation_no FROM conversations WHERE id = $5)
      AND bookmarks.tenant_no = $1 AND (bookmarks.created_at, bookmarks.id) < ($2::timestamptz, $3::text)
    ORDER BY bookmarks.created_at DESC, bookmarks.id DESC
    LIMIT $4
) AS page
JOIN conversations ON conversations.conversation_no = page.conversation_no
JOIN entries ON entries.id = page.entry_id AND entries.sent_at = page.sent_at
ORDER BY page.created_at DESC, page.id DESC
