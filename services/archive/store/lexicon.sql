-- name: count_terms
-- Takes a span of transactions ($1, $2) and a limit; counts the lexemes of their rows, and of rows before them what has changed since,
-- at most so many changes. Changes of the span's own rows are dropped: the rows are read as they are now. Gives the lexemes that fewer
-- entries have now, and how many changes were taken. For one process at a time; sees one state of the tables.
WITH counted_before AS (
    DELETE FROM lexicon_changes
    WHERE change_no IN (SELECT change_no FROM lexicon_changes WHERE stored_in < $1 ORDER BY change_no LIMIT $3)
    RETURNING entries, tsv
), not_counted AS (
    DELETE FROM lexicon_changes WHERE stored_in >= $1 AND stored_in < $2
), told AS MATERIALIZED (
    SELECT lexeme, sum(entries) AS entries
    FROM (
        SELECT 1 AS entries, tsv FROM search_rows WHERE stored_in >= $1 AND stored_in < $2
        UNION ALL
        SELECT entries, tsv FROM counted_before
    ) AS row_told, unnest(tsvector_to_array(tsv)) AS lexeme
    GROUP BY lexeme
    HAVING sum(entries) <> 0
), put AS (
    INSERT INTO lexicon (lexeme, entries)
    SELECT lexeme, entries FROM told ORDER BY lexeme
    ON CONFLICT (lexeme) DO UPDATE SET entries = lexicon.entries + excluded.entries
)
SELECT (SELECT array_agg(lexeme) FROM told WHERE entries < 0) AS fewer, (SELECT count(*) FROM counted_before) AS changes

-- name: forget_terms
-- Takes lexemes; deletes those of them that no entry has any more.
DELETE FROM lexicon WHERE lexeme = ANY($1::text[]) AND entries <= 0

-- name: frequencies
-- Takes lexemes; gives in how many entries each is that is known.
SELECT lexeme, entries FROM lexicon WHERE lexeme = ANY($1::text[])

-- name: completions
-- Takes the first lexeme of a range, the end of the range and a limit; gives the lexemes of the range that most entries have, and of
-- all of them their number and entries.
SELECT lexeme, entries, count(*) OVER () AS lexemes, sum(entries) OVER ()::bigint AS all_entries
FROM lexicon
WHERE lexeme >= $1 AND lexeme < $2
ORDER BY entries DESC, lexeme
LIMIT $3

-- name: near_lexemes
-- Takes lexemes; gives to each those that may be one typing error away, and in how many entries they are.
SELECT asked, near.lexeme, near.entries
FROM unnest($1::text[]) AS asked
CROSS JOIN LATERAL (
    SELECT lexeme, entries FROM lexicon
    WHERE near_keys(lexicon.lexeme) && near_keys(asked) AND lexicon.lexeme <> asked
      AND lexicon.lexeme ~ '^[0-9]+:[^0-9]{3,20}$'  -- spelt as in the index
    ORDER BY entries DESC, lexeme
    LIMIT 50
) AS near
