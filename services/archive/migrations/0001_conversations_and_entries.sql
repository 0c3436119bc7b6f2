-- A conversation is what a tenant's number and a contact wrote to each other. Its totals are kept with the entries they count.
CREATE TABLE conversations (
    id text COLLATE "C" PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    number_id text COLLATE "C" NOT NULL,
    contact_phone text COLLATE "C" NOT NULL,
    contact_name text,
    contact_named_at timestamptz,                -- the newest name wins, however late it is told
    entry_count bigint NOT NULL DEFAULT 0,
    unread_count bigint NOT NULL DEFAULT 0,      -- incoming entries that nobody marked as read
    last_entry_at timestamptz,                   -- NULL until the first entry is in
    last_entry_id text COLLATE "C",
    last_direction text CHECK (last_direction IN ('incoming', 'outgoing')),
    last_type text,
    last_preview text,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, number_id, contact_phone)
) WITH (fillfactor = 70);

CREATE INDEX conversations_newest ON conversations (tenant_id, last_entry_at DESC, id DESC) WHERE last_entry_at IS NOT NULL;

-- Entries are written once and never updated: what changes about an outgoing message is in `outgoing`. By month, for retention.
CREATE TABLE entries (
    id text COLLATE "C" NOT NULL,                -- rises in the order of recording
    sent_at timestamptz NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    conversation_id text COLLATE "C" NOT NULL,
    direction text NOT NULL CHECK (direction IN ('incoming', 'outgoing')),
    message_id text COLLATE "C",
    wamid text COLLATE "C",
    type text NOT NULL,
    body text NOT NULL,
    content jsonb NOT NULL,
    tsv tsvector NOT NULL,                       -- terms of `body`, made by domain/analyzer.py; no positions
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (id, sent_at),
    CHECK (direction = 'incoming' OR message_id IS NOT NULL),
    CHECK (direction = 'outgoing' OR wamid IS NOT NULL)
) PARTITION BY RANGE (sent_at);

CREATE INDEX entries_by_conversation ON entries (conversation_id, sent_at DESC, id DESC);
CREATE INDEX entries_by_term ON entries USING gin (tsv) WITH (fastupdate = off);

-- The key of outgoing entries, and how far their messages got. A fact that comes before its message's entry waits here for it.
CREATE TABLE outgoing (
    tenant_id text COLLATE "C" NOT NULL,
    message_id text COLLATE "C" NOT NULL,
    entry_id text COLLATE "C",                   -- NULL until the entry is in
    height integer NOT NULL,                     -- domain/progress.py
    status text NOT NULL CHECK (
        status IN ('queued', 'scheduled', 'unknown', 'sent', 'failed', 'canceled', 'expired', 'delivered', 'read')
    ),
    status_at timestamptz NOT NULL,
    error_code text,
    wamid text COLLATE "C",
    wamid_attempt integer NOT NULL DEFAULT 0,
    told_at timestamptz NOT NULL DEFAULT now(),  -- first heard of; never updated, which keeps updates off the indexes (HOT)
    PRIMARY KEY (tenant_id, message_id)
) WITH (fillfactor = 70);

CREATE INDEX outgoing_without_entry ON outgoing (told_at) WHERE entry_id IS NULL;

-- The key of incoming entries: their partitions cannot hold a key that leaves out the time.
CREATE TABLE incoming (
    number_id text COLLATE "C" NOT NULL,
    wamid text COLLATE "C" NOT NULL,
    tenant_id text COLLATE "C" NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (number_id, wamid)
);

-- The service may write rows but define nothing, except the month that an entry needs: this runs with the owner's rights.
-- Built aside and then attached, so that readers and writers of the other months wait for nothing.
CREATE FUNCTION ensure_month(month timestamptz) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = archive, pg_temp SET timezone = 'UTC' AS $$
DECLARE
    from_at CONSTANT timestamptz := date_trunc('month', month);
    until_at CONSTANT timestamptz := from_at + interval '1 month';
    name CONSTANT text := 'entries_' || to_char(from_at, 'YYYY_MM');
BEGIN
    IF from_at < '2009-01-01' OR until_at > '2100-01-01' THEN
        RAISE EXCEPTION 'no entry can be of %', from_at;
    END IF;
    IF to_regclass(name) IS NOT NULL THEN
        RETURN false;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('archive.entries', 0));
    -- Not by to_regclass: its cache may still say what was true before the wait.
    IF EXISTS (SELECT FROM pg_class WHERE relname = name AND relnamespace = 'archive'::regnamespace) THEN
        RETURN false;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE entries INCLUDING ALL)', name);
    EXECUTE format('ALTER TABLE entries ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, from_at, until_at);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION ensure_month FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_month TO chasqui_archive;
