-- Rows of search carry the number of their transaction, and followers go by it. A dump that is restored into another cluster brings
-- rows with numbers that transactions there have not reached: new rows would be taken for old ones that were followed long ago.
-- So what transactions are numbered from is raised once, by whoever restores (docs/backup.md); 0 where that was never needed.
CREATE TABLE transactions_from (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    base    bigint NOT NULL DEFAULT 0
);
INSERT INTO transactions_from DEFAULT VALUES;

-- For the owner of the tables, while no service runs. Again is safe, and where it is not needed it changes nothing.
CREATE FUNCTION go_on_after_restore() RETURNS bigint LANGUAGE plpgsql SET search_path = archive, pg_temp AS $$
DECLARE
    raised bigint;
BEGIN
    SELECT greatest(base, (
        SELECT greatest((SELECT max(stored_in) FROM search_rows), (SELECT max(stored_in) FROM followers), 0)
    ) - pg_current_xact_id()::text::bigint + 1) INTO raised FROM transactions_from;
    UPDATE transactions_from SET base = raised;
    EXECUTE format('ALTER TABLE search_rows ALTER COLUMN stored_in SET DEFAULT pg_current_xact_id()::text::bigint + %s', raised);
    RETURN raised;
END
$$;
