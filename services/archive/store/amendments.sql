-- name: note_amendments
-- Takes amendments as a JSON array; keeps those that are new until they are in their entries.
INSERT INTO amendments (
    event_id, tenant_id, number_id, wamid, kind, at, content, type, body, preview, contact_phone, tsv
)
SELECT fact->>0, fact->>1, fact->>2, fact->>3, fact->>4, (fact->>5)::timestamptz, nullif(fact->6, 'null'), fact->>7, fact->>8,
       fact->>9, fact->>10, (fact->>11)::tsvector
FROM jsonb_array_elements($1::jsonb) AS fact
ORDER BY fact->>0
ON CONFLICT (event_id) DO NOTHING

-- name: amend
-- Takes a limit; puts so many amendments that are due into their entries, keeps what these said before, and mends the conversations'
-- last entries. An amendment without an entry is put off: for as long as it has waited, at least 5 s and at most an hour. Returns
-- how many it looked at, and whose entries were amended. Locks amendments (leaving out what others have), entries and conversations in this order, the latter two in
-- the order of their keys; whoever waited for an entry goes on with what it says then.
WITH due AS MATERIALIZED (
    SELECT event_id, tenant_id, number_id, wamid, kind, at, content, type, body, preview, contact_phone, tsv
    FROM amendments
    WHERE next_at <= now()
    ORDER BY next_at
    LIMIT $1
    FOR UPDATE SKIP LOCKED
), own_key AS MATERIALIZED (
    SELECT incoming.tenant_id, incoming.number_id, incoming.wamid, incoming.entry_id,
           coalesce(incoming.sent_at, (SELECT sent_at FROM entries WHERE entries.id = incoming.entry_id)) AS sent_at
    FROM (SELECT DISTINCT tenant_id, number_id, wamid FROM due) AS named
    JOIN incoming USING (tenant_id, number_id, wamid)
), key AS MATERIALIZED (
    SELECT tenant_id, number_id, wamid, entry_id, sent_at FROM own_key
    UNION ALL
    -- What we sent has its wamid in a row that is written too often to be indexed by it. Reactions to it, which the provider takes
    -- for 30 days, find it among the latest of the conversation.
    SELECT named.tenant_id, named.number_id, named.wamid, recent.id, recent.sent_at
    FROM (
        SELECT DISTINCT ON (tenant_id, number_id, wamid) tenant_id, number_id, wamid, contact_phone, at
        FROM due LEFT JOIN own_key USING (tenant_id, number_id, wamid)
        WHERE due.kind = 'reaction' AND own_key.entry_id IS NULL
        ORDER BY tenant_id, number_id, wamid, at
    ) AS named
    JOIN conversations USING (tenant_id, number_id, contact_phone)
    CROSS JOIN LATERAL (
        SELECT latest.id, latest.sent_at
        FROM (
            SELECT entries.id, entries.sent_at, entries.message_id
            FROM entries
            WHERE entries.conversation_id = conversations.id
              AND entries.sent_at BETWEEN named.at - interval '31 days' AND named.at + interval '1 minute'
              AND entries.message_id IS NOT NULL
            ORDER BY entries.sent_at DESC, entries.id DESC
            LIMIT 1000
        ) AS latest
        JOIN outgoing ON outgoing.tenant_id = named.tenant_id AND outgoing.message_id = latest.message_id
        WHERE named.wamid IN (outgoing.wamid, outgoing.message_id)
        LIMIT 1
    ) AS recent
), found AS MATERIALIZED (
    SELECT entries.id, entries.sent_at, entries.conversation_id, key.tenant_id, key.number_id, key.wamid,
           entries.content, entries.type, entries.edited_at, entries.revoked_at, entries.media, entries.reactions
    FROM key JOIN entries ON entries.id = key.entry_id AND entries.sent_at = key.sent_at
    ORDER BY entries.id
    FOR UPDATE OF entries
), said AS MATERIALIZED (
    SELECT found.id, found.sent_at, due.at, due.content, due.type, due.body, due.preview, due.tsv
    FROM due JOIN found USING (tenant_id, number_id, wamid)
    WHERE due.kind = 'edit'
    UNION ALL
    SELECT id, sent_at, coalesce(edited_at, '-infinity'), content, type, NULL, NULL, NULL FROM found
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
), reacted AS (
    -- The latest of each person; an empty one takes an earlier one back.
    SELECT id, jsonb_object_agg(who, reaction) AS reactions
    FROM (
        SELECT DISTINCT ON (id, who) id, who, reaction
        FROM (
            SELECT found.id, due.content->>'by' AS who,
                   jsonb_build_object(
                       'emoji', due.content->'emoji',
                       'at', to_char(due.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
                   ) AS reaction
            FROM due JOIN found USING (tenant_id, number_id, wamid)
            WHERE due.kind = 'reaction'
            UNION ALL
            SELECT found.id, known.key, known.value FROM found CROSS JOIN jsonb_each(found.reactions) AS known
        ) AS told
        ORDER BY id, who, reaction->>'at' DESC, reaction->>'emoji' DESC
    ) AS latest
    GROUP BY id
), amended AS (
    UPDATE entries
    SET content = newest.content,
        type = newest.type,
        edited_at = nullif(newest.at, '-infinity'),
        revoked_at = least(found.revoked_at, revoked.at),
        media = CASE WHEN file.content IS NULL
                       OR (coalesce(found.media->>'media_id', ''), found.media)
                        > (coalesce(file.content->>'media_id', ''), file.content)
                     THEN found.media ELSE file.content END,
        reactions = reacted.reactions
    FROM found
    JOIN newest ON newest.id = found.id
    LEFT JOIN file ON file.id = found.id
    LEFT JOIN revoked ON revoked.id = found.id
    LEFT JOIN reacted ON reacted.id = found.id
    WHERE entries.id = found.id AND entries.sent_at = found.sent_at
    RETURNING entries.id, entries.sent_at, entries.tenant_id, entries.conversation_id, entries.type, newest.preview, newest.body, newest.tsv,
              entries.revoked_at IS NOT NULL AS is_revoked
), changed AS MATERIALIZED (
    -- It says another thing than it did, or nothing any more.
    SELECT amended.*, conversations.conversation_no, tenants.tenant_no
    FROM amended
    JOIN conversations ON conversations.id = amended.conversation_id
    JOIN tenants ON tenants.tenant_id = conversations.tenant_id
    WHERE amended.is_revoked OR amended.preview IS NOT NULL
), reindexed AS (
    UPDATE search_rows
    SET type = CASE WHEN changed.is_revoked THEN 'revoked' ELSE changed.type END,
        body = CASE WHEN changed.is_revoked THEN '' ELSE changed.body END,
        tsv = (CASE WHEN changed.is_revoked THEN '' ELSE changed.tsv::text || ' ' END
               || changed.tenant_no || '~c' || changed.conversation_no || ' '
               || changed.tenant_no || '~m' || to_char(changed.sent_at AT TIME ZONE 'UTC', 'YYYYMM') || ' '
               || changed.tenant_no || '~d' || to_char(changed.sent_at AT TIME ZONE 'UTC', 'YYYYMMDD'))::tsvector
    FROM changed
    WHERE search_rows.conversation_no = changed.conversation_no
      AND search_rows.sent_at = changed.sent_at
      AND search_rows.entry_id = changed.id
), to_annotate AS (
    INSERT INTO annotations (entry_id, sent_at, conversation_no, state, model)
    SELECT id, sent_at, conversation_no, 'stale', '' FROM changed ORDER BY id
    ON CONFLICT (entry_id) DO UPDATE SET state = 'stale'
), stale AS (
    INSERT INTO stale_days (conversation_no, day)
    SELECT DISTINCT conversation_no, (sent_at AT TIME ZONE 'UTC')::date FROM changed ORDER BY 1, 2
    ON CONFLICT DO NOTHING
), last AS (
    SELECT conversations.id, CASE WHEN changed.is_revoked THEN 'revoked' ELSE changed.type END AS type,
           CASE WHEN changed.is_revoked THEN '' ELSE changed.preview END AS preview
    FROM changed JOIN conversations ON conversations.id = changed.conversation_id AND conversations.last_entry_id = changed.id
    ORDER BY conversations.tenant_id, conversations.number_id, conversations.contact_phone
    FOR NO KEY UPDATE OF conversations
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
SELECT (SELECT count(*) FROM due) AS looked_at,
       ARRAY(SELECT DISTINCT conversation_id FROM amended) AS conversation_ids,
       ARRAY(SELECT DISTINCT tenant_id FROM amended) AS tenant_ids

-- name: forget_amendments
-- Takes days; deletes at most 10,000 amendments whose entry never came.
DELETE FROM amendments
WHERE event_id IN (
    SELECT event_id FROM amendments WHERE told_at < now() - make_interval(days => $1) ORDER BY told_at LIMIT 10000
)
