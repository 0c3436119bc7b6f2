-- What is said of an entry after it was written: another text, that it was taken back, the file that came with it. New columns
-- without a default: nothing is rewritten, and partitions that are made from now on have them too.
ALTER TABLE entries
    ADD COLUMN edited_at timestamptz,            -- the last edit's; NULL: as it was written
    ADD COLUMN revoked_at timestamptz,           -- what it said stays in the row, but is neither shown nor searched
    ADD COLUMN media jsonb;                      -- the file that came with it, or why there is none
COMMENT ON TABLE entries IS 'Written once, and amended by what is said of them later. How far a message got is in outgoing.';

-- Tells the partition that the entry is in. NULL: written before this column was; then all of them are asked.
ALTER TABLE incoming ADD COLUMN sent_at timestamptz;

-- What has still to be put into its entry. A row goes with that; until its entry has come, it is tried again at longer and longer
-- times.
CREATE TABLE amendments (
    event_id text COLLATE "C" PRIMARY KEY,
    tenant_id text COLLATE "C" NOT NULL,
    number_id text COLLATE "C" NOT NULL,
    wamid text COLLATE "C" NOT NULL,
    kind text NOT NULL CHECK (kind IN ('edit', 'revocation', 'media')),
    at timestamptz NOT NULL,                     -- the provider's time
    content jsonb,                               -- of an edit as in `entries`, of a file as its `media`
    type text,                                   -- this and the rest: of edits, as in `entries` and `conversations`
    body text,
    preview text,
    tsv tsvector,
    told_at timestamptz NOT NULL DEFAULT now(),
    next_at timestamptz NOT NULL DEFAULT now(),
    CHECK (kind = 'revocation' OR content IS NOT NULL),
    CHECK (kind <> 'edit' OR (type IS NOT NULL AND body IS NOT NULL AND preview IS NOT NULL AND tsv IS NOT NULL))
);

CREATE INDEX amendments_due ON amendments (next_at);

-- What entries said before they said what they say now.
CREATE TABLE entry_versions (
    entry_id text COLLATE "C" NOT NULL,
    sent_at timestamptz NOT NULL,                -- the entry's
    since timestamptz NOT NULL,                  -- when it began to say this; -infinity: as it was written
    content jsonb NOT NULL
);

-- Of two edits of one second both are kept; by a digest, because contents are too long for an index.
CREATE UNIQUE INDEX entry_versions_key ON entry_versions (entry_id, since, md5(content::text));
