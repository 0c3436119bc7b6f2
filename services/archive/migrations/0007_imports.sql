-- Chat exports that tenants hand over, from their first byte to their last entry.

CREATE TABLE imports (
    import_no bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    id text COLLATE "C" PRIMARY KEY,                -- imp_…
    tenant_id text COLLATE "C" NOT NULL,
    tenant_no integer NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (
        state IN ('uploading', 'surveying', 'ready', 'importing', 'completed', 'failed', 'canceled', 'undoing', 'undone')
    ),
    file_name text NOT NULL,
    size_bytes bigint,                              -- as announced; once all of it is here, as it is
    received_bytes bigint NOT NULL DEFAULT 0,
    options jsonb NOT NULL,                         -- domain/importing.py
    conversation_id text COLLATE "C",               -- settled when entries begin to be stored
    conversation_no bigint,
    survey jsonb,                                   -- what the whole file says about itself
    resume jsonb,                                   -- where the reading goes on after a crash: the reader's state, the bytes behind it
    text_bytes bigint,                              -- of the chat's text, which may lie in a zip
    read_bytes bigint NOT NULL DEFAULT 0,           -- of these, by the survey and then by the import
    entry_count bigint NOT NULL DEFAULT 0,          -- stored
    known_count bigint NOT NULL DEFAULT 0,          -- were here already
    file_count bigint NOT NULL DEFAULT 0,           -- media kept
    doubt_count bigint NOT NULL DEFAULT 0,          -- lines that were not understood
    undone_count bigint NOT NULL DEFAULT 0,
    undo_after bytea,                               -- the fingerprint up to which the keys have been gone through
    error_code text,
    error_detail text,
    lease_id text COLLATE "C",                      -- who works on it, and until when nobody else may
    leased_until timestamptz NOT NULL DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,               -- claims since the last progress
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    importing_at timestamptz,
    ended_at timestamptz
) WITH (fillfactor = 70);

CREATE INDEX imports_newest ON imports (tenant_id, id DESC);
CREATE INDEX imports_at_work ON imports (leased_until) WHERE state IN ('surveying', 'importing', 'undoing');
CREATE INDEX imports_waiting ON imports (updated_at) WHERE state IN ('uploading', 'ready');

-- Objects of imports: parts of the file that was handed over, and media that came in it. What nothing names any more, or not yet, is
-- due to be removed.
CREATE TABLE import_objects (
    object_key text COLLATE "C" PRIMARY KEY,
    import_no bigint NOT NULL,
    start_offset bigint,                            -- of a part of the file: its first byte's place; NULL for media
    size_bytes bigint,
    remove_at timestamptz
);

CREATE UNIQUE INDEX import_objects_of_file ON import_objects (import_no, start_offset)
WHERE start_offset IS NOT NULL AND remove_at IS NULL;
CREATE INDEX import_objects_of_import ON import_objects (import_no);
CREATE INDEX import_objects_due ON import_objects (remove_at) WHERE remove_at IS NOT NULL;

-- The key of imported entries: exports have no ids, so a record is known by its minute, its author and what it says. `import_no` is
-- the import that answers for the entry; others that brought it too are in `import_claims`, and take over when that one is undone.
-- 0: the entry was recorded when it was sent, and no import answers for it.
CREATE TABLE import_keys (
    conversation_no bigint NOT NULL,
    fingerprint bytea NOT NULL,
    import_no bigint NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    sent_at timestamptz NOT NULL,
    PRIMARY KEY (conversation_no, fingerprint)
);

CREATE INDEX import_keys_by_entry ON import_keys (entry_id);

CREATE TABLE import_claims (
    conversation_no bigint NOT NULL,
    fingerprint bytea NOT NULL,
    import_no bigint NOT NULL,
    PRIMARY KEY (conversation_no, fingerprint, import_no)
);

CREATE INDEX import_claims_by_import ON import_claims (import_no, conversation_no, fingerprint);

-- Lines that were not understood, in the file's order; one of them can be there for two reasons.
CREATE TABLE import_lines (
    import_no bigint NOT NULL,
    place bigint NOT NULL,
    line bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    text text NOT NULL,                             -- its beginning
    PRIMARY KEY (import_no, place)
);

-- Media of imported entries.
CREATE TABLE files (
    id text COLLATE "C" PRIMARY KEY,                -- fil_…
    tenant_no integer NOT NULL,
    conversation_no bigint NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    object_key text COLLATE "C" NOT NULL,
    mime_type text NOT NULL,
    size_bytes bigint NOT NULL,
    sha256 bytea NOT NULL,
    file_name text,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX files_by_entry ON files (entry_id);
CREATE INDEX files_by_object ON files (object_key);
