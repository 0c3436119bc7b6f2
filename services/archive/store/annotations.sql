-- name: bear_silence
-- Takes an interval; this transaction may be silent for so long.
SELECT set_config('idle_in_transaction_session_timeout', $1, true)

-- name: texts_to_annotate
-- Takes a span of transactions; gives the texts that they stored.
SELECT entry_id, sent_at, conversation_no, body
FROM search_rows
WHERE stored_in >= $1 AND stored_in < $2 AND body <> '' AND NOT is_notice

-- name: texts_to_annotate_again
-- Takes a limit; gives the texts of so many entries that were changed since they were annotated, empty ones too.
SELECT annotations.entry_id, search_rows.sent_at, search_rows.conversation_no, search_rows.body
FROM (SELECT entry_id, sent_at, conversation_no FROM annotations WHERE state = 'stale' ORDER BY entry_id LIMIT $1) AS annotations
JOIN search_rows
  ON search_rows.conversation_no = annotations.conversation_no
 AND search_rows.sent_at = annotations.sent_at
 AND search_rows.entry_id = annotations.entry_id

-- name: store_annotations
-- Takes a model and annotations as a JSON array; keeps them in place of what was there, and marks the days of the entries.
WITH told AS (
    SELECT fields->>0 AS entry_id, (fields->>1)::timestamptz AS sent_at, (fields->>2)::bigint AS conversation_no,
           fields->>3 AS state, fields->>4 AS language, (fields->>5)::real AS sentiment, nullif(fields->6, 'null') AS entities
    FROM jsonb_array_elements($2::jsonb) AS fields
), marked AS (
    INSERT INTO stale_days (conversation_no, day)
    SELECT DISTINCT conversation_no, (sent_at AT TIME ZONE 'UTC')::date FROM told
)
INSERT INTO annotations AS held (entry_id, sent_at, conversation_no, state, model, language, sentiment, entities)
SELECT entry_id, sent_at, conversation_no, state, $1, language, sentiment, entities FROM told ORDER BY entry_id
ON CONFLICT (entry_id) DO UPDATE
SET state = excluded.state,
    model = excluded.model,
    language = excluded.language,
    sentiment = excluded.sentiment,
    entities = excluded.entities,
    annotated_at = now()

-- name: conversations_numbered
-- Takes numbers of conversations; gives their ids.
SELECT id FROM conversations WHERE conversation_no = ANY($1::bigint[])
