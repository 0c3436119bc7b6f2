-- New rows go to the index's pending list first, which is merged into it whenever it is a megabyte. Measured on 1.5 million rows, the
-- btrees included, in batches of 200 and of 5,000 rows: 64 and 51 us a row without the list, 47 and 42 with 256 kB, 31 and 21 with
-- 1 MB, 28 and 15 with 4 MB. What a reader pays for looking through it: 0.4 ms at 1 MB, at most 0.8; 1 to 2.8 ms at 4 MB. The insert
-- that merges takes no longer than one of 5,000 rows takes without the list.
ALTER INDEX search_rows_by_term SET (fastupdate = on, gin_pending_list_limit = 1024);

-- How many entries each lexeme of `search_rows.tsv` is in: a search is routed by it, words are completed and corrected from it. Kept
-- a little behind the rows by store/lexicon.py. An update changes no column of an index and stays on its page (HOT).
CREATE TABLE lexicon (
    lexeme text COLLATE "C" PRIMARY KEY,            -- with its tenant: domain/indexing.py
    entries bigint NOT NULL
) WITH (fillfactor = 70);

-- What two words have in common that are one typing error apart: one of these numbers at least. They stand for the word itself and
-- for the word without one of its letters. Words of 4 to 20 characters without digits have them.
CREATE FUNCTION near_keys(lexeme text) RETURNS integer[]
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (
    SELECT array_agg(hashtext(overlay(lexeme PLACING '' FROM place FOR 1) COLLATE "C")) || hashtext(lexeme COLLATE "C")
    FROM generate_series(strpos(lexeme, ':') + 1, length(lexeme)) AS place
    WHERE lexeme ~ '^[0-9]+:[^0-9]{4,20}$'
);
CREATE INDEX lexicon_near ON lexicon USING gin (near_keys(lexeme)) WITH (fastupdate = off);

-- Rows of search that were taken away, or say something else now. Whoever does that need not know of the lexicon; who follows the rows
-- takes from its counts what was counted already.
CREATE TABLE lexicon_changes (
    change_no bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stored_in bigint NOT NULL,                      -- the row's
    entries integer NOT NULL CHECK (entries IN (1, -1)),
    tsv tsvector NOT NULL
);

CREATE FUNCTION note_terms_gone() RETURNS trigger LANGUAGE plpgsql SET search_path = archive, pg_temp AS $$
BEGIN
    INSERT INTO lexicon_changes (stored_in, entries, tsv) SELECT stored_in, -1, tsv FROM before;
    RETURN NULL;
END
$$;
CREATE TRIGGER terms_gone AFTER DELETE ON search_rows
    REFERENCING OLD TABLE AS before FOR EACH STATEMENT EXECUTE FUNCTION note_terms_gone();

CREATE FUNCTION note_terms_changed() RETURNS trigger LANGUAGE plpgsql SET search_path = archive, pg_temp AS $$
BEGIN
    INSERT INTO lexicon_changes (stored_in, entries, tsv)
    SELECT before.stored_in, told.entries, told.tsv
    FROM before
    JOIN after USING (row_no)
    CROSS JOIN LATERAL (VALUES (-1, before.tsv), (1, after.tsv)) AS told (entries, tsv)
    WHERE before.tsv <> after.tsv;
    RETURN NULL;
END
$$;
CREATE TRIGGER terms_changed AFTER UPDATE ON search_rows
    REFERENCING OLD TABLE AS before NEW TABLE AS after FOR EACH STATEMENT EXECUTE FUNCTION note_terms_changed();

-- What is there already is counted here; the lexicon follows from there on.
INSERT INTO followers (name, stored_in) VALUES ('lexicon', pg_snapshot_xmin(pg_current_snapshot())::text::bigint);
INSERT INTO lexicon (lexeme, entries)
SELECT lexeme, count(*)
FROM search_rows, unnest(tsvector_to_array(tsv)) AS lexeme
WHERE stored_in < (SELECT stored_in FROM followers WHERE name = 'lexicon')
GROUP BY lexeme
ORDER BY lexeme;
