-- name: remove_amendments
-- Takes ids and times of entries, and the span of the times; deletes what has still to be put into them. Before the entries, because
-- amendments are locked in this order.
DELETE FROM amendments
USING unnest($1::text[], $2::timestamptz[]) AS key (id, sent_at)
JOIN entries ON entries.id = key.id AND entries.sent_at = key.sent_at AND entries.sent_at BETWEEN $3::timestamptz AND $4::timestamptz
JOIN conversations ON conversations.id = entries.conversation_id
WHERE amendments.tenant_id = entries.tenant_id
  AND amendments.number_id = conversations.number_id
  AND amendments.wamid = entries.wamid

-- name: lock_entries
-- Takes ids and times of entries, and the span of the times; locks the entries in the order of their ids, after who puts something on
-- them just now: the next statement sees what that was.
SELECT FROM entries
JOIN unnest($1::text[], $2::timestamptz[]) AS key (id, sent_at) ON entries.id = key.id AND entries.sent_at = key.sent_at
WHERE entries.sent_at BETWEEN $3::timestamptz AND $4::timestamptz
ORDER BY entries.id
FOR UPDATE OF entries

-- name: remove_entries
-- Takes ids and times of entries, and the span of the times, which spares the other months; deletes the entries with all that is
-- kept of them, and marks their days. Returns for each conversation how many went, and when the newest incoming one was sent. Locks
-- entries in the order of their ids, then outgoing and incoming, as who records does.
WITH gone AS MATERIALIZED (
    SELECT entries.id, entries.sent_at, entries.tenant_id, entries.conversation_id, entries.direction, entries.message_id,
           entries.wamid, conversations.conversation_no, conversations.number_id
    FROM unnest($1::text[], $2::timestamptz[]) AS key (id, sent_at)
    JOIN entries
      ON entries.id = key.id
     AND entries.sent_at = key.sent_at
     AND entries.sent_at BETWEEN $3::timestamptz AND $4::timestamptz
    JOIN conversations ON conversations.id = entries.conversation_id
    ORDER BY entries.id
    FOR UPDATE OF entries
), entry AS (
    DELETE FROM entries
    USING gone
    WHERE entries.id = gone.id
      AND entries.sent_at = gone.sent_at
      AND entries.sent_at BETWEEN $3::timestamptz AND $4::timestamptz
), sent AS MATERIALIZED (
    SELECT outgoing.tenant_id, outgoing.message_id
    FROM gone JOIN outgoing ON outgoing.tenant_id = gone.tenant_id AND outgoing.message_id = gone.message_id
    ORDER BY outgoing.tenant_id, outgoing.message_id
    FOR UPDATE OF outgoing
), outgoing_key AS (
    DELETE FROM outgoing
    USING sent
    WHERE outgoing.tenant_id = sent.tenant_id AND outgoing.message_id = sent.message_id
), incoming_key AS (
    DELETE FROM incoming
    USING gone
    WHERE (SELECT count(*) FROM sent) IS NOT NULL  -- these are locked by then
      AND gone.message_id IS NULL AND incoming.number_id = gone.number_id AND incoming.wamid = gone.wamid
), search_row AS (
    DELETE FROM search_rows
    USING gone
    WHERE search_rows.conversation_no = gone.conversation_no
      AND search_rows.sent_at = gone.sent_at
      AND search_rows.entry_id = gone.id
), version AS (
    DELETE FROM entry_versions USING gone WHERE entry_versions.entry_id = gone.id
), annotation AS (
    DELETE FROM annotations USING gone WHERE annotations.entry_id = gone.id
), bookmark AS (
    DELETE FROM bookmarks USING gone WHERE bookmarks.entry_id = gone.id
), entry_label AS (
    DELETE FROM entry_labels USING gone WHERE entry_labels.entry_id = gone.id
), import_key AS (
    DELETE FROM import_keys USING gone WHERE import_keys.entry_id = gone.id
    RETURNING import_keys.conversation_no, import_keys.fingerprint
), import_claim AS (
    DELETE FROM import_claims
    USING import_key
    WHERE import_claims.conversation_no = import_key.conversation_no AND import_claims.fingerprint = import_key.fingerprint
), imported_file AS (
    DELETE FROM files USING gone WHERE files.entry_id = gone.id RETURNING files.id, files.object_key
), imported_object AS (
    UPDATE import_objects SET remove_at = now()
    FROM imported_file
    WHERE import_objects.object_key = imported_file.object_key
      AND NOT EXISTS (
          SELECT FROM files AS other
          WHERE other.object_key = imported_file.object_key AND other.id NOT IN (SELECT id FROM imported_file)
      )
), stale AS (
    INSERT INTO stale_days (conversation_no, day)
    SELECT DISTINCT conversation_no, (sent_at AT TIME ZONE 'UTC')::date FROM gone ORDER BY 1, 2
    ON CONFLICT DO NOTHING
)
SELECT conversation_id, count(*) AS entries, max(sent_at) FILTER (WHERE direction = 'incoming') AS newest_incoming
FROM gone
GROUP BY conversation_id

-- name: subtract_entries
-- Takes conversations, how many entries of each went, and when the newest incoming one of them was sent; takes them off the totals.
-- Returns the conversations, and whether the last entry or unread ones may be among those that went. Locks them in key order: after
-- all else, because whoever records waits for them.
WITH counted AS (
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[]) AS counted (conversation_id, entries, newest_incoming)
), locked AS MATERIALIZED (
    SELECT conversations.id, counted.entries, counted.newest_incoming
    FROM conversations JOIN counted ON counted.conversation_id = conversations.id
    ORDER BY conversations.tenant_id, conversations.number_id, conversations.contact_phone
    FOR NO KEY UPDATE OF conversations
)
UPDATE conversations
SET entry_count = conversations.entry_count - locked.entries
FROM locked
WHERE conversations.id = locked.id
RETURNING conversations.id,
          NOT EXISTS (
              SELECT FROM search_rows
              WHERE search_rows.conversation_no = conversations.conversation_no
                AND search_rows.sent_at = conversations.last_entry_at
                AND search_rows.entry_id = conversations.last_entry_id
          ) OR (conversations.unread_count > 0
                AND locked.newest_incoming > coalesce(conversations.read_until, '-infinity')) AS is_stale

-- name: recount_entries
-- Takes conversations; counts their entries anew. Locks them in key order.
WITH locked AS MATERIALIZED (
    SELECT id, conversation_no
    FROM conversations
    WHERE id = ANY($1::text[])
    ORDER BY tenant_id, number_id, contact_phone
    FOR NO KEY UPDATE
)
UPDATE conversations
SET entry_count = (SELECT count(*) FROM search_rows WHERE search_rows.conversation_no = locked.conversation_no)
FROM locked
WHERE conversations.id = locked.id

-- name: refresh_totals
-- Takes conversations whose rows the transaction has locked; sets their last entry anew, and their unread ones to what can be unread
-- at most: where there were more than 10,000, not counted but bounded.
UPDATE conversations
SET last_entry_at = last.sent_at,
    last_entry_id = last.entry_id,
    last_direction = CASE WHEN last.is_outgoing THEN 'outgoing' WHEN NOT last.is_outgoing THEN 'incoming' END,
    last_type = last.type,
    last_preview = left(btrim(regexp_replace(left(last.body, 240), '\s+', ' ', 'g')), 120),
    unread_count = CASE WHEN known.unread_count <= 10000 THEN unread.entries
                        ELSE least(known.unread_count, known.entry_count) END
FROM conversations AS known
LEFT JOIN LATERAL (
    SELECT sent_at, entry_id, is_outgoing, type, body
    FROM search_rows
    WHERE search_rows.conversation_no = known.conversation_no
    ORDER BY sent_at DESC, entry_id DESC
    LIMIT 1
) AS last ON true
CROSS JOIN LATERAL (
    SELECT count(*) AS entries
    FROM (
        SELECT FROM search_rows
        WHERE search_rows.conversation_no = known.conversation_no
          AND search_rows.sent_at > coalesce(known.read_until, '-infinity')
          AND NOT search_rows.is_outgoing
        LIMIT least(known.unread_count, 10000)
    ) AS incoming
) AS unread
WHERE conversations.id = known.id AND known.id = ANY($1::text[])
