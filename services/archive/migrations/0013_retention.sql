-- How long a tenant's entries are kept.
CREATE TABLE retention (
    tenant_no integer PRIMARY KEY,
    days integer CHECK (days BETWEEN 30 AND 36500),  -- NULL: for ever, or as long as the platform keeps anything
    changed_at timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL                     -- the API key
);

-- What it has taken away: how many entries of a tenant on which day.
CREATE TABLE retention_removals (
    tenant_no integer NOT NULL,
    day date NOT NULL,
    entries bigint NOT NULL,
    last_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_no, day)
);

-- Conversations whose last entry was taken away. They are hardly ever any, and others are never in it.
CREATE INDEX conversations_without_entries ON conversations (created_at) WHERE last_entry_at IS NULL;

-- Takes away one month without entries that ended before then; its first day, or NULL where there is none. Locks entries for as long
-- as that takes, in the order in which readers and writers do, and waits for that no longer than they would not notice.
CREATE FUNCTION drop_empty_month(before timestamptz) RETURNS date
LANGUAGE plpgsql SECURITY DEFINER SET search_path = archive, pg_temp SET timezone = 'UTC' SET lock_timeout = '200ms' AS $$
DECLARE
    month RECORD;
    is_empty boolean;
BEGIN
    FOR month IN
        SELECT inhrelid::regclass::text AS name, to_date(right(relname, 7), 'YYYY_MM') AS first_day
        FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
        WHERE inhparent = 'entries'::regclass
          AND to_date(right(relname, 7), 'YYYY_MM') + interval '1 month' <= before
        ORDER BY relname
    LOOP
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', month.name) INTO is_empty;
        CONTINUE WHEN NOT is_empty;
        PERFORM pg_advisory_xact_lock(hashtextextended('archive.entries', 0));  -- ensure_month
        LOCK TABLE ONLY entries IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', month.name) INTO is_empty;  -- one may have come since
        CONTINUE WHEN NOT is_empty;
        EXECUTE format('ALTER TABLE entries DETACH PARTITION %s', month.name);
        EXECUTE format('DROP TABLE %s', month.name);
        RETURN month.first_day;
    END LOOP;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION drop_empty_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION drop_empty_month TO chasqui_archive;
