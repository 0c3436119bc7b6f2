-- name: note_amendments
-- Takes amendments as a JSON array; keeps those that are new until they are in their entries.
INSERT INTO amendments (event_id, tenant_id, number_id, wamid, kind, at, content, type, body, preview, tsv)
SELECT fact->>0, fact->>1, fact->>2, fact->>3, fact->>4, (fact->>5)::timestamptz, nullif(fact->6, 'null'), fact->>7, fact->>8,
       fact->>9, (fact->>10)::tsvector
FROM jsonb_array_elements($1::jsonb) AS fact
ORDER BY fact->>0
ON CONFLICT (event_id) DO NOTHING

-- name: amend
-- Takes a limit; puts so many amendments that are due into their entries, keeps what these said before, and mends the conversations'
-- last entries. An amendment without an entry is put off: for as long as it has waited, at least 5 s and at most an hour. Returns
-- how many it looked at. Locks amendments (leaving out what others have), entries and conversations in this order, the latter two in
-- the order of their keys; whoever waited for an entry goes on with what it says then.
WITH due AS MATERIALIZED (
    SELECT event_id, tenant_id, number_id, wamid, kind, at, content, type, body, preview, tsv
    FROM amendments
    WHERE next_at <= now()
    ORDER BY next_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), key AS MATERIALIZED (
    SELECT incoming.tenant_id, incoming.number_id, incoming.wamid, incoming.entry_id,
           coalesce(incoming.sent_at, (SELECT sent_at FROM entries WHERE entries.id = incoming.entry_id)) AS sent_at
    FROM (SELECT DISTINCT tenant_id, number_id, wamid FROM due) AS named
    JOIN incoming USING (tenant_id, number_id, wamid)
), found AS MATERIALIZED (
    SELECT entries.id, entries.sent_at, entries.conversation_id, key.tenant_id, key.number_id, key.wamid,
           entries.content, entries.type, entries.body, entries.tsv, entries.edited_at, entries.revoked_at, entries.media
    FROM key JOIN entries ON entries.id = key.entry_id AND entries.sent_at = key.sent_at
    ORDER BY entries.id
    FOR UPDATE OF entries
), said AS MATERIALIZED (
    SELECT found.id, found.sent_at, due.at, due.content, due.type, due.body, due.preview, due.tsv
    FROM due JOIN found USING (tenant_id, number_id, wamid)
    WHERE due.kind = 'edit'
    UNION ALL
    SELECT id, sent_at, coalesce(edited_at, '-infinity'), content, type, body, NULL, tsv FROM found
), newest AS MATERIALIZED (
    SELECT DISTINCT ON (id) * FROM said ORDER BY id, at DESC, content DESC, preview NULLS FIRST
), kept AS (
    INSERT INTO entry_versions (entry_id, sent_at, since, content)
    SELECT said.id, said.sent_at, said.at, said.content
    FROM said JOIN newest ON newest.id = said.id
    WHERE (said.at, said.content) <> (newest.at, newest.content)
    ORDER BY said.id, said.at, said.content
    ON CONFLICT (entry_id, since, md5(content::text)) DO NOTHING
), file AS (
    -- One that is stored stands above one that is lost; ids rise in the order of their making.
    SELECT DISTINCT ON (found.id) found.id, due.content
    FROM due JOIN found USING (tenant_id, number_id, wamid)
    WHERE due.kind = 'media'
    ORDER BY found.id, due.content->>'media_id' DESC NULLS LAST, due.content DESC
), revoked AS (
    SELECT found.id, min(due.at) AS at
    FROM due JOIN found USING (tenant_id, number_id, wamid)
    WHERE due.kind = 'revocation'
    GROUP BY found.id
), amended AS (
    UPDATE entries
    SET content = newest.content,
        type = newest.type,
        body = newest.body,
        edited_at = nullif(newest.at, '-infinity'),
        revoked_at = least(found.revoked_at, revoked.at),
        tsv = CASE WHEN found.revoked_at IS NULL AND revoked.at IS NULL THEN newest.tsv ELSE '' END,
        media = CASE WHEN file.content IS NULL
                       OR (coalesce(found.media->>'media_id', ''), found.media)
                        > (coalesce(file.content->>'media_id', ''), file.content)
                     THEN found.media ELSE file.content END
    FROM found
    JOIN newest ON newest.id = found.id
    LEFT JOIN file ON file.id = found.id
    LEFT JOIN revoked ON revoked.id = found.id
    WHERE entries.id = found.id AND entries.sent_at = found.sent_at
    RETURNING entries.id, entries.conversation_id, entries.type, newest.preview, entries.revoked_at IS NOT NULL AS is_revoked
), last AS (
    SELECT conversations.id, CASE WHEN amended.is_revoked THEN 'revoked' ELSE amended.type END AS type,
           CASE WHEN amended.is_revoked THEN '' ELSE amended.preview END AS preview
    FROM amended JOIN conversations ON conversations.id = amended.conversation_id AND conversations.last_entry_id = amended.id
    WHERE amended.is_revoked OR amended.preview IS NOT NULL
    ORDER BY conversations.tenant_id, conversations.number_id, conversations.contact_phone
    FOR UPDATE OF conversations
), mended AS (
    UPDATE conversations SET last_type = last.type, last_preview = last.preview FROM last WHERE conversations.id = last.id
), done AS (
    DELETE FROM amendments USING due JOIN found USING (tenant_id, number_id, wamid) WHERE amendments.event_id = due.event_id
), put_off AS (
    UPDATE amendments
    SET next_at = now() + least(greatest(now() - amendments.told_at, interval '5 seconds'), interval '1 hour')
    FROM due LEFT JOIN found USING (tenant_id, number_id, wamid)
    WHERE amendments.event_id = due.event_id AND found.id IS NULL
)
SELECT count(*) FROM due

-- name: forget_amendments
-- Takes days; deletes at most 10,000 amendments whose entry never came.
DELETE FROM amendments
WHERE event_id IN (
    SELECT event_id FROM amendments WHERE told_at < now() - make_interval(days => $1) ORDER BY told_at LIMIT 10000
)
