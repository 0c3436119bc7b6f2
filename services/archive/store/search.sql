-- name: matches
-- Takes a place ($1, $2) to go on after, the earliest moment, the newest row that counts, a tsquery that every hit meets, direction,
-- types and author (each NULL: any), a limit ($9), a regular expression or NULL that texts of ASCII meet ($10), the tsquery that the
-- index is asked ($11) and a cap ($12). Collects what the index gives, at most as many as the cap, which are then not the newest; gives
-- the newest of it, and how many there are.
WITH found AS MATERIALIZED (
    SELECT row_no, sent_at FROM search_rows
    WHERE tsv @@ $11::tsquery
      -- IS TRUE: no other index than that of the terms is to be thought of.
      AND ((sent_at, row_no) < ($1::timestamptz, $2::bigint)) IS TRUE AND (sent_at >= $3::timestamptz) IS TRUE
      AND (row_no <= $4::bigint) IS TRUE
      AND ($5::tsquery IS NULL OR tsv @@ $5::tsquery) AND type <> 'revoked'
      AND ($6::boolean IS NULL OR is_outgoing = $6) AND ($7::text[] IS NULL OR type = ANY($7)) AND ($8::bigint IS NULL OR author_no = $8)
      AND ($10::text IS NULL OR octet_length(body) <> char_length(body) OR lower(body COLLATE "C") ~ $10)
    LIMIT $12
), newest AS MATERIALIZED (
    SELECT row_no FROM found ORDER BY sent_at DESC, row_no DESC LIMIT $9
)
SELECT hit.row_no, hit.sent_at, hit.conversation_no, hit.is_outgoing, hit.type, hit.body, hit.entry_id,
       conversations.id AS conversation_id, coalesce(title, contact_name, contact_phone) AS conversation_name,
       participants.id AS author_id, participants.name AS author_name,
       (SELECT count(*) FROM found) AS found, (SELECT max(row_no) FROM search_rows) AS newest_row
FROM newest
JOIN search_rows AS hit ON hit.row_no = newest.row_no
JOIN conversations ON conversations.conversation_no = hit.conversation_no
LEFT JOIN participants ON participants.participant_no = hit.author_no
ORDER BY hit.sent_at DESC, hit.row_no DESC

-- name: walk_tenant
-- Takes the same ($1 to $10), the tenant and how many rows to look at. Walks from the newest, and gives the first hits.
WITH walked AS (
    SELECT * FROM search_rows
    WHERE tenant_no = $11::integer AND (sent_at, row_no) < ($1::timestamptz, $2::bigint) AND sent_at >= $3::timestamptz
    ORDER BY sent_at DESC, row_no DESC
    LIMIT $12
), hit AS MATERIALIZED (
    SELECT * FROM walked
    WHERE row_no <= $4::bigint AND ($5::tsquery IS NULL OR tsv @@ $5::tsquery) AND type <> 'revoked'
      AND ($6::boolean IS NULL OR is_outgoing = $6) AND ($7::text[] IS NULL OR type = ANY($7)) AND ($8::bigint IS NULL OR author_no = $8)
      AND ($10::text IS NULL OR octet_length(body) <> char_length(body) OR lower(body COLLATE "C") ~ $10)
    LIMIT $9
)
SELECT hit.row_no, hit.sent_at, hit.conversation_no, hit.is_outgoing, hit.type, hit.body, hit.entry_id,
       conversations.id AS conversation_id, coalesce(title, contact_name, contact_phone) AS conversation_name,
       participants.id AS author_id, participants.name AS author_name,
       NULL::bigint AS found, (SELECT max(row_no) FROM search_rows) AS newest_row
FROM hit
JOIN conversations ON conversations.conversation_no = hit.conversation_no
LEFT JOIN participants ON participants.participant_no = hit.author_no
ORDER BY hit.sent_at DESC, hit.row_no DESC

-- name: walk_conversation
-- As `walk_tenant`, of a conversation.
WITH walked AS (
    SELECT * FROM search_rows
    WHERE conversation_no = $11::bigint AND (sent_at, row_no) < ($1::timestamptz, $2::bigint) AND sent_at >= $3::timestamptz
    ORDER BY sent_at DESC, row_no DESC
    LIMIT $12
), hit AS MATERIALIZED (
    SELECT * FROM walked
    WHERE row_no <= $4::bigint AND ($5::tsquery IS NULL OR tsv @@ $5::tsquery) AND type <> 'revoked'
      AND ($6::boolean IS NULL OR is_outgoing = $6) AND ($7::text[] IS NULL OR type = ANY($7)) AND ($8::bigint IS NULL OR author_no = $8)
      AND ($10::text IS NULL OR octet_length(body) <> char_length(body) OR lower(body COLLATE "C") ~ $10)
    LIMIT $9
)
SELECT hit.row_no, hit.sent_at, hit.conversation_no, hit.is_outgoing, hit.type, hit.body, hit.entry_id,
       conversations.id AS conversation_id, coalesce(title, contact_name, contact_phone) AS conversation_name,
       participants.id AS author_id, participants.name AS author_name,
       NULL::bigint AS found, (SELECT max(row_no) FROM search_rows) AS newest_row
FROM hit
JOIN conversations ON conversations.conversation_no = hit.conversation_no
LEFT JOIN participants ON participants.participant_no = hit.author_no
ORDER BY hit.sent_at DESC, hit.row_no DESC

-- name: walk_label
-- As `walk_tenant`, of the entries with a label ($13), of a conversation ($14) or of all.
WITH walked AS MATERIALIZED (
    SELECT conversation_no, sent_at, entry_id FROM entry_labels
    WHERE tenant_no = $11::integer AND label = $13 AND sent_at <= $1::timestamptz AND sent_at >= $3::timestamptz
      AND ($14::bigint IS NULL OR conversation_no = $14)
    ORDER BY sent_at DESC, entry_id DESC
    LIMIT $12
), hit AS MATERIALIZED (
    SELECT labelled.* FROM walked
    CROSS JOIN LATERAL (
        SELECT * FROM search_rows
        WHERE search_rows.conversation_no = walked.conversation_no AND search_rows.sent_at = walked.sent_at
          AND search_rows.entry_id = walked.entry_id
        LIMIT 1
    ) AS labelled
    WHERE (labelled.sent_at, labelled.row_no) < ($1::timestamptz, $2::bigint) AND row_no <= $4::bigint
      AND ($5::tsquery IS NULL OR tsv @@ $5::tsquery) AND type <> 'revoked'
      AND ($6::boolean IS NULL OR is_outgoing = $6) AND ($7::text[] IS NULL OR type = ANY($7)) AND ($8::bigint IS NULL OR author_no = $8)
      AND ($10::text IS NULL OR octet_length(body) <> char_length(body) OR lower(body COLLATE "C") ~ $10)
    ORDER BY labelled.sent_at DESC, labelled.row_no DESC
    LIMIT $9
)
SELECT hit.row_no, hit.sent_at, hit.conversation_no, hit.is_outgoing, hit.type, hit.body, hit.entry_id,
       conversations.id AS conversation_id, coalesce(title, contact_name, contact_phone) AS conversation_name,
       participants.id AS author_id, participants.name AS author_name,
       NULL::bigint AS found, (SELECT max(row_no) FROM search_rows) AS newest_row
FROM hit
JOIN conversations ON conversations.conversation_no = hit.conversation_no
LEFT JOIN participants ON participants.participant_no = hit.author_no
ORDER BY hit.sent_at DESC, hit.row_no DESC

-- name: walked_tenant
-- Takes a place, the earliest moment, the tenant and a number of rows; gives the place of the last of so many, nothing where fewer are
-- left.
SELECT sent_at, row_no FROM search_rows
WHERE tenant_no = $4::integer AND (sent_at, row_no) < ($1::timestamptz, $2::bigint) AND sent_at >= $3::timestamptz
ORDER BY sent_at DESC, row_no DESC
OFFSET $5::integer - 1 LIMIT 1

-- name: walked_conversation
-- The same, of a conversation.
SELECT sent_at, row_no FROM search_rows
WHERE conversation_no = $4::bigint AND (sent_at, row_no) < ($1::timestamptz, $2::bigint) AND sent_at >= $3::timestamptz
ORDER BY sent_at DESC, row_no DESC
OFFSET $5::integer - 1 LIMIT 1

-- name: walked_label
-- Takes two moments, the tenant, a label, a conversation or NULL, and a number; gives the moment of the last of so many labels,
-- nothing where there are no more than so many.
SELECT sent_at FROM entry_labels
WHERE tenant_no = $3::integer AND label = $4 AND sent_at <= $1::timestamptz AND sent_at >= $2::timestamptz
  AND ($5::bigint IS NULL OR conversation_no = $5)
ORDER BY sent_at DESC, entry_id DESC
OFFSET $6::integer LIMIT 1

-- name: context_of
-- Takes places in conversations ($1 to $3) and a number; gives so many entries before and after each, in the order of time.
SELECT hit.row_no AS hit_row, near.*, participants.id AS author_id, participants.name AS author_name
FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[]) AS hit (conversation_no, sent_at, row_no)
CROSS JOIN LATERAL (
    (SELECT entry_id, sent_at, is_outgoing, type, left(body, $5::integer) AS body, author_no, row_no, true AS is_before
     FROM search_rows
     WHERE conversation_no = hit.conversation_no AND (sent_at, row_no) < (hit.sent_at, hit.row_no)
     ORDER BY sent_at DESC, row_no DESC
     LIMIT $4)
    UNION ALL
    (SELECT entry_id, sent_at, is_outgoing, type, left(body, $5::integer) AS body, author_no, row_no, false AS is_before
     FROM search_rows
     WHERE conversation_no = hit.conversation_no AND (sent_at, row_no) > (hit.sent_at, hit.row_no)
     ORDER BY sent_at, row_no
     LIMIT $4)
) AS near
LEFT JOIN participants ON participants.participant_no = near.author_no
ORDER BY hit.row_no, near.sent_at, near.row_no

-- name: count_months
-- Takes $3, $5 to $8 of `matches`, the moment to end before ($1), the newest row that counts ($2) and the tsquery that the index is
-- asked ($4); counts by month, UTC.
SELECT date_trunc('month', sent_at, 'UTC') AS month, count(*) AS entries
FROM search_rows
WHERE tsv @@ $4::tsquery AND (sent_at < $1::timestamptz) IS TRUE AND (sent_at >= $3::timestamptz) IS TRUE
  AND ($5::tsquery IS NULL OR tsv @@ $5::tsquery) AND type <> 'revoked'
  AND ($6::boolean IS NULL OR is_outgoing = $6) AND ($7::text[] IS NULL OR type = ANY($7)) AND ($8::bigint IS NULL OR author_no = $8)
  AND (row_no <= $2::bigint) IS TRUE
GROUP BY 1
ORDER BY 1

-- name: sample_months
-- Takes months by their first moments and ends ($1, $2), the tenant, how many rows of each to look at, and $5 to $8 of `matches`; gives
-- how many rows were seen of each, and how many of them are hits.
SELECT month.starts AS month, sample.seen, sample.hits
FROM unnest($1::timestamptz[], $2::timestamptz[]) AS month (starts, ends)
CROSS JOIN LATERAL (
    SELECT count(*) AS seen, count(*) FILTER (
        WHERE ($5::tsquery IS NULL OR tsv @@ $5::tsquery) AND type <> 'revoked'
          AND ($6::boolean IS NULL OR is_outgoing = $6) AND ($7::text[] IS NULL OR type = ANY($7))
          AND ($8::bigint IS NULL OR author_no = $8)
    ) AS hits
    FROM (
        SELECT tsv, type, is_outgoing, author_no FROM search_rows
        WHERE tenant_no = $3::integer AND sent_at >= month.starts AND sent_at < month.ends
        ORDER BY sent_at DESC, row_no DESC
        LIMIT $4
    ) AS seen
) AS sample
ORDER BY month.starts

-- name: conversation_number
-- Takes the tenant and a conversation's id; gives its number.
SELECT conversation_no FROM conversations WHERE tenant_id = $1 AND id = $2

-- name: author_number
-- Takes the tenant's number and a participant's id; gives the numbers of the participant and of the conversation.
SELECT participant_no, conversation_no FROM participants WHERE tenant_no = $1 AND id = $2
