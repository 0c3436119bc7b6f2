-- Files in the object store. A tenant's equal bytes are kept once, whatever they are called.
CREATE TABLE media_files (
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants,
    sha256     bytea  NOT NULL,
    object_key text   NOT NULL,
    size_bytes bigint NOT NULL,
    PRIMARY KEY (tenant_id, sha256)
);

-- A file as it is called: uploaded, or sent by somebody in the message `wamid`, under the provider's id `provider_id`. `wire_id` is its
-- name where clients know the provider's: digits that fit a double.
CREATE TABLE media (
    id          text COLLATE "C" NOT NULL UNIQUE,
    tenant_id   text COLLATE "C" NOT NULL,
    wire_id     bigint      NOT NULL CHECK (wire_id BETWEEN 1000000000000000 AND 9007199254740991),
    kind        text        NOT NULL CHECK (kind IN ('image', 'sticker', 'video', 'audio', 'document')),
    mime_type   text        NOT NULL,
    size_bytes  bigint      NOT NULL,
    sha256      bytea       NOT NULL,
    file_name   text,
    is_animated boolean     NOT NULL DEFAULT false,
    number_id   text COLLATE "C",
    wamid       text COLLATE "C",
    provider_id text COLLATE "C",
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, wire_id),
    FOREIGN KEY (tenant_id, sha256) REFERENCES media_files,
    CHECK ((wamid IS NULL) = (number_id IS NULL) AND (wamid IS NULL) = (provider_id IS NULL))
);
CREATE INDEX media_of_file ON media (tenant_id, sha256);
CREATE INDEX media_of_message ON media (tenant_id, wamid) WHERE wamid IS NOT NULL;
CREATE UNIQUE INDEX media_inbound ON media (tenant_id, provider_id, number_id, wamid) WHERE provider_id IS NOT NULL;

-- Files that somebody sent and that are still at the provider. Who works on one moves `due_at` into the future.
CREATE TABLE media_fetches (
    tenant_id       text COLLATE "C" NOT NULL,
    provider_id     text COLLATE "C" NOT NULL,
    number_id       text COLLATE "C" NOT NULL,
    wamid           text COLLATE "C" NOT NULL,
    phone_number_id text        NOT NULL,
    mime_type       text,
    file_name       text,
    tries           integer     NOT NULL DEFAULT 0,
    due_at          timestamptz NOT NULL DEFAULT now(),
    is_held         boolean     NOT NULL DEFAULT false,
    wanted_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, provider_id, number_id, wamid)
);
CREATE INDEX media_fetches_due ON media_fetches (number_id, due_at);
CREATE INDEX media_fetches_held ON media_fetches (number_id) WHERE is_held;

-- Objects that nothing names any more, or that are being written and may never be named: removed once they are due.
CREATE TABLE media_leftovers (
    object_key text COLLATE "C" PRIMARY KEY,
    due_at     timestamptz NOT NULL
);
CREATE INDEX media_leftovers_due ON media_leftovers (due_at);
