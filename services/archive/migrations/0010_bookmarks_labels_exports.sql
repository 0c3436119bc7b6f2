-- What a team marks in its archive, and what it takes out of it.

-- One an entry for the whole tenant.
CREATE TABLE bookmarks (
    id text COLLATE "C" PRIMARY KEY,                -- bmk_…
    tenant_no integer NOT NULL,
    conversation_no bigint NOT NULL,
    entry_id text COLLATE "C" NOT NULL,
    sent_at timestamptz NOT NULL,                   -- the entry's
    note text NOT NULL DEFAULT '',
    created_by text COLLATE "C",                    -- the API key that was used
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (entry_id)
);

CREATE INDEX bookmarks_newest ON bookmarks (tenant_no, created_at DESC, id DESC);
CREATE INDEX bookmarks_of_conversation ON bookmarks (conversation_no, created_at DESC, id DESC);

-- `label` is as domain/label.py folds it. The keys serve the reading of one label's entries in the order of time.
CREATE TABLE entry_labels (
    tenant_no integer NOT NULL,
    label text COLLATE "C" NOT NULL,
    sent_at timestamptz NOT NULL,                   -- the entry's
    entry_id text COLLATE "C" NOT NULL,
    conversation_no bigint NOT NULL,
    created_by text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_no, label, sent_at, entry_id)
);

CREATE INDEX entry_labels_of_entry ON entry_labels (entry_id);
CREATE INDEX entry_labels_of_conversation ON entry_labels (conversation_no, label, sent_at);

CREATE TABLE conversation_labels (
    tenant_no integer NOT NULL,
    label text COLLATE "C" NOT NULL,
    conversation_no bigint NOT NULL,
    created_by text COLLATE "C",
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_no, label, conversation_no)
);

CREATE INDEX conversation_labels_of_conversation ON conversation_labels (conversation_no);

-- Files that are made of the archive. `run` rises whenever a worker begins, so that one that was given up cannot finish it.
CREATE TABLE exports (
    id text COLLATE "C" PRIMARY KEY,                -- exp_…
    tenant_id text COLLATE "C" NOT NULL,
    created_by text COLLATE "C",
    format text NOT NULL CHECK (format IN ('ndjson', 'csv', 'html', 'whatsapp')),
    scope jsonb NOT NULL,                           -- domain/export.py: what is taken, and how it is written
    state text NOT NULL CHECK (state IN ('queued', 'running', 'completed', 'failed', 'canceled', 'expired', 'deleted')),
    run integer NOT NULL DEFAULT 0,
    lease_until timestamptz,                        -- of a running one
    entries bigint NOT NULL DEFAULT 0,
    media bigint NOT NULL DEFAULT 0,
    media_missing bigint NOT NULL DEFAULT 0,
    size_bytes bigint NOT NULL DEFAULT 0,
    sha256 text,
    mime_type text,
    file_name text,
    object_key text COLLATE "C",                    -- where it is, or was begun; NULL once that is gone
    error_code text,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    expires_at timestamptz,
    CHECK (state <> 'completed' OR (object_key IS NOT NULL AND expires_at IS NOT NULL AND sha256 IS NOT NULL))
) WITH (fillfactor = 80);

CREATE INDEX exports_newest ON exports (tenant_id, id DESC) WHERE state <> 'deleted';
CREATE INDEX exports_open ON exports (created_at) WHERE state IN ('queued', 'running');
CREATE INDEX exports_to_expire ON exports (expires_at) WHERE state = 'completed';
CREATE INDEX exports_to_clear ON exports (id) WHERE object_key IS NOT NULL AND state NOT IN ('queued', 'running', 'completed');
