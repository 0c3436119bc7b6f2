-- The tenants' files, as the gateway tells of them.
CREATE TABLE media (
    tenant_id  text COLLATE "C" NOT NULL,
    media_id   text COLLATE "C" NOT NULL,
    object_key text   NOT NULL,
    mime_type  text   NOT NULL,
    size_bytes bigint NOT NULL,
    sha256     text COLLATE "C" NOT NULL,
    file_name  text,
    PRIMARY KEY (tenant_id, media_id)
);

-- A file's bytes at the provider, once per number and type, for what was uploaded as one type cannot be sent as another: `handle` is
-- the provider's id of them. Who uploads them moves `due_at` beyond the end of its lease. `tries` only rises, so that a late word of a
-- former try is known as such; `faults` are those that count.
CREATE TABLE media_uploads (
    number_id   text COLLATE "C" NOT NULL,
    sha256      text COLLATE "C" NOT NULL,
    mime_type   text COLLATE "C" NOT NULL,
    tenant_id   text COLLATE "C" NOT NULL,
    media_id    text COLLATE "C" NOT NULL,
    state       text        NOT NULL DEFAULT 'wanted' CHECK (state IN ('wanted', 'uploaded', 'refused')),
    is_held     boolean     NOT NULL DEFAULT false,
    tries       integer     NOT NULL DEFAULT 0,
    faults      integer     NOT NULL DEFAULT 0,
    wanted_at   timestamptz NOT NULL DEFAULT now(),
    due_at      timestamptz NOT NULL DEFAULT now(),
    handle      text,
    settled_at  timestamptz,
    expires_at  timestamptz,
    code        text,
    detail      text,
    PRIMARY KEY (number_id, sha256, mime_type),
    CHECK ((state = 'uploaded') = (handle IS NOT NULL) AND (state = 'uploaded') = (expires_at IS NOT NULL))
);
CREATE INDEX media_uploads_due ON media_uploads (number_id, due_at) WHERE state = 'wanted';
CREATE INDEX media_uploads_held ON media_uploads (number_id) WHERE is_held;
CREATE INDEX media_uploads_unused ON media_uploads (wanted_at) WHERE state <> 'uploaded';
CREATE INDEX media_uploads_expired ON media_uploads (expires_at) WHERE state = 'uploaded';
