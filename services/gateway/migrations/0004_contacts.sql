-- Somebody whom a tenant writes to. What they are called by stands in contact_identifiers.
CREATE TABLE contacts (
    id             text COLLATE "C" NOT NULL,
    tenant_id      text COLLATE "C" NOT NULL,
    name           text,
    name_key       text COLLATE "C",  -- folded (services/gateway/domain/contact.py), to be found by its beginning
    language       text,
    time_zone      text,
    attributes     jsonb       NOT NULL DEFAULT '{}',
    -- What holds now. It follows from the latest word on each scope, which the other columns keep: words come out of order.
    consent        text        NOT NULL DEFAULT 'unknown' CHECK (consent IN ('unknown', 'opted_in', 'opted_out')),
    consent_scope  text        NOT NULL DEFAULT 'all' CHECK (consent_scope IN ('all', 'marketing')),
    consent_source text,
    consent_at     timestamptz,
    general        text        CHECK (general IN ('opted_in', 'opted_out')),
    general_at     timestamptz,
    general_source text,
    marketing        text      CHECK (marketing IN ('opted_in', 'opted_out')),
    marketing_at     timestamptz,
    marketing_source text,
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX contacts_name ON contacts (tenant_id, name_key, id) WHERE name_key IS NOT NULL;
CREATE INDEX contacts_updated ON contacts (tenant_id, updated_at, id);
CREATE INDEX contacts_consent ON contacts (tenant_id, consent, id);

-- One of each kind per contact. A value belongs to one contact of a tenant.
CREATE TABLE contact_identifiers (
    tenant_id  text COLLATE "C" NOT NULL,
    kind       text COLLATE "C" NOT NULL CHECK (kind IN ('phone', 'user_id', 'username')),
    value      text COLLATE "C" NOT NULL,
    contact_id text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, kind, value)
);
CREATE UNIQUE INDEX contact_identifiers_contact ON contact_identifiers (tenant_id, contact_id, kind);

-- Every word of a contact's on being written to, late and overridden ones too. Told twice is written once.
CREATE TABLE contact_consents (
    tenant_id   text COLLATE "C" NOT NULL,
    contact_id  text COLLATE "C" NOT NULL,
    at          timestamptz NOT NULL,
    scope       text COLLATE "C" NOT NULL CHECK (scope IN ('all', 'marketing')),
    consent     text COLLATE "C" NOT NULL CHECK (consent IN ('opted_in', 'opted_out')),
    source      text        NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, contact_id, at, scope, consent)
);

-- A file of contacts on its way in.
CREATE TABLE contact_imports (
    id          text COLLATE "C" NOT NULL,
    tenant_id   text COLLATE "C" NOT NULL,
    state       text        NOT NULL CHECK (state IN ('receiving', 'waiting', 'processing', 'completed', 'canceled')),
    columns     jsonb       NOT NULL,
    header      text        NOT NULL,  -- the first record as it stands
    delimiter   text        NOT NULL,
    region      text,
    rows        integer     NOT NULL DEFAULT 0,
    processed   integer     NOT NULL DEFAULT 0,
    created     integer     NOT NULL DEFAULT 0,
    updated     integer     NOT NULL DEFAULT 0,
    unchanged   integer     NOT NULL DEFAULT 0,
    rejected    integer     NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    PRIMARY KEY (tenant_id, id)
);
CREATE INDEX contact_imports_open ON contact_imports (id) WHERE state IN ('waiting', 'processing');

-- The records of a file, some hundred a row, until they are processed: an array of [line, text].
CREATE TABLE contact_import_chunks (
    import_id text COLLATE "C" NOT NULL,
    number    integer NOT NULL,
    records   bytea   NOT NULL,
    PRIMARY KEY (import_id, number)
);
ALTER TABLE contact_import_chunks ALTER COLUMN records SET STORAGE EXTERNAL;  -- short-lived: not worth compressing

-- What was wrong with a file's lines. No line is left out without a row here.
CREATE TABLE contact_import_errors (
    import_id text COLLATE "C" NOT NULL,
    line      integer  NOT NULL,
    position  smallint NOT NULL,
    field     text     NOT NULL,
    code      text     NOT NULL,
    detail    text     NOT NULL,
    PRIMARY KEY (import_id, line, position)
);
