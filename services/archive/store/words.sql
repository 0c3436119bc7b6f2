-- name: mark_months
-- Takes conversations and months, and whether their counting is hastened; marks them.
INSERT INTO stale_months (conversation_no, month, marked_at)
SELECT conversation_no, month, CASE WHEN is_hastened THEN '-infinity' ELSE now() END
FROM unnest($1::bigint[], $2::date[], $3::boolean[]) AS changed (conversation_no, month, is_hastened)

-- name: take_stale_months
-- Takes seconds and a limit; takes so many months away whose first mark is as old, with all their marks; gives the months.
WITH due AS (
    SELECT DISTINCT conversation_no, month
    FROM (
        SELECT conversation_no, month FROM stale_months
        WHERE marked_at <= now() - make_interval(secs => $1)
        ORDER BY marked_at, conversation_no, month
        LIMIT $2
    ) AS marked
), taken AS (
    DELETE FROM stale_months USING due WHERE stale_months.conversation_no = due.conversation_no AND stale_months.month = due.month
)
SELECT conversation_no, month FROM due

-- name: count_terms
-- Takes conversations, months and a limit; gives the terms that most entries of each month hold, and in how many. Of a month with
-- more entries than 100,000 the last ones tell.
SELECT wanted.conversation_no, wanted.month, counted.term, counted.entries
FROM unnest($1::bigint[], $2::date[]) AS wanted (conversation_no, month)
CROSS JOIN LATERAL (
    SELECT substr(lexeme, strpos(lexeme, ':') + 1) AS term, count(*) AS entries
    FROM (
        SELECT tsv
        FROM search_rows
        WHERE search_rows.conversation_no = wanted.conversation_no
          AND sent_at >= wanted.month::timestamp AT TIME ZONE 'UTC'
          AND sent_at < (wanted.month + interval '1 month') AT TIME ZONE 'UTC'
          AND NOT is_notice
        ORDER BY sent_at DESC, row_no DESC
        LIMIT 100000
    ) AS said
    CROSS JOIN LATERAL unnest(tsvector_to_array(said.tsv)) AS lexeme
    WHERE lexeme ~ '^[0-9]+:'
    GROUP BY 1
    ORDER BY 2 DESC, 1
    LIMIT $3
) AS counted

-- name: store_words
-- Takes conversations and months with their words and emoji (JSON objects); a month without any is forgotten.
WITH said AS (
    SELECT * FROM unnest($1::bigint[], $2::date[], $3::jsonb[], $4::jsonb[]) AS said (conversation_no, month, words, emoji)
), gone AS (
    DELETE FROM month_words USING said
    WHERE month_words.conversation_no = said.conversation_no AND month_words.month = said.month
      AND said.words = '{}' AND said.emoji = '{}'
)
INSERT INTO month_words (conversation_no, month, words, emoji)
SELECT conversation_no, month, words, emoji FROM said WHERE words <> '{}' OR emoji <> '{}'
ON CONFLICT (conversation_no, month) DO UPDATE SET words = excluded.words, emoji = excluded.emoji

-- name: mark_tenants
-- Takes numbers of tenants and whether counting is hastened; their words are to be counted anew.
INSERT INTO tenant_words AS held (tenant_no, words, emoji, stale_at)
SELECT tenant_no, '{}', '{}', CASE WHEN $2::boolean THEN '-infinity' ELSE now() END FROM unnest($1::integer[]) AS tenant_no
ON CONFLICT (tenant_no) DO UPDATE SET stale_at = least(held.stale_at, excluded.stale_at)

-- name: take_stale_tenants
-- Takes seconds and a limit; gives tenants whose words are to be counted anew for so long, and takes that off them.
WITH due AS (
    SELECT tenant_no FROM tenant_words WHERE stale_at <= now() - make_interval(secs => $1) ORDER BY stale_at LIMIT $2
)
UPDATE tenant_words SET stale_at = NULL FROM due WHERE tenant_words.tenant_no = due.tenant_no RETURNING tenant_words.tenant_no

-- name: tenant_terms
-- Takes a tenant's number and a limit; gives the terms that most of its entries hold, and in how many. Reads the tenant's lexicon.
SELECT substr(lexeme, strpos(lexeme, ':') + 1) AS term, entries
FROM lexicon
WHERE lexeme >= $1::integer || ':' AND lexeme < $1::integer || ';' AND entries > 0
ORDER BY entries DESC, lexeme
LIMIT $2

-- name: store_tenant_words
-- Takes a tenant's number with its words and emoji (JSON objects).
INSERT INTO tenant_words (tenant_no, words, emoji) VALUES ($1, $2::jsonb, $3::jsonb)
ON CONFLICT (tenant_no) DO UPDATE SET words = excluded.words, emoji = excluded.emoji

-- name: top_words
-- Takes a conversation, months and a limit; gives words (is_emoji: false) and emoji of these months, so many of each at most.
SELECT term, is_emoji, entries
FROM (
    SELECT each.key AS term, is_emoji, sum(each.value::bigint)::bigint AS entries,
           row_number() OVER (PARTITION BY is_emoji ORDER BY sum(each.value::bigint) DESC, each.key) AS place
    FROM month_words
    CROSS JOIN LATERAL (VALUES (false, words), (true, emoji)) AS kind (is_emoji, terms)
    CROSS JOIN LATERAL jsonb_each_text(terms) AS each
    WHERE conversation_no = $1 AND month BETWEEN $2 AND $3
    GROUP BY each.key, is_emoji
) AS ranked
WHERE place <= $4
ORDER BY place

-- name: top_tenant_words
-- Takes a tenant's number and a limit; gives words and emoji of all its entries, so many of each at most.
SELECT term, is_emoji, entries
FROM (
    SELECT each.key AS term, is_emoji, each.value::bigint AS entries,
           row_number() OVER (PARTITION BY is_emoji ORDER BY each.value::bigint DESC, each.key) AS place
    FROM tenant_words
    CROSS JOIN LATERAL (VALUES (false, words), (true, emoji)) AS kind (is_emoji, terms)
    CROSS JOIN LATERAL jsonb_each_text(terms) AS each
    WHERE tenant_no = $1
) AS ranked
WHERE place <= $2
ORDER BY place
