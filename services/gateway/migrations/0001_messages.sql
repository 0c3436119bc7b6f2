CREATE TABLE tenants (
    id         text COLLATE "C" PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- A key's text is shown once and never stored.
CREATE TABLE api_keys (
    key_id     text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants,
    live       boolean     NOT NULL,
    digest     bytea       NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- Tokens and secrets are sealed (AES-256-GCM); of the verify token a digest is enough.
CREATE TABLE numbers (
    id                  text COLLATE "C" PRIMARY KEY,
    tenant_id           text COLLATE "C" NOT NULL REFERENCES tenants,
    revision            integer     NOT NULL DEFAULT 1,
    phone_number_id     text COLLATE "C" NOT NULL UNIQUE,
    waba_id             text        NOT NULL,
    display_number      text        NOT NULL,
    provider_url        text        NOT NULL,
    messages_per_second integer     NOT NULL CHECK (messages_per_second BETWEEN 1 AND 1000),
    sealed_access_token text        NOT NULL,
    sealed_app_secret   text        NOT NULL,
    verify_token_digest bytea       NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX numbers_tenant ON numbers (tenant_id, id);
CREATE INDEX numbers_account ON numbers (waba_id);
CREATE INDEX numbers_verify_token ON numbers (verify_token_digest);

-- The public state of every message. status_rank orders the states, so that one only climbs (services/gateway/domain/status.py).
-- One index serves everything: by id, and a tenant's newest first.
CREATE TABLE messages (
    id           text COLLATE "C" NOT NULL,
    tenant_id    text COLLATE "C" NOT NULL,
    number_id    text COLLATE "C" NOT NULL,
    recipient    text        NOT NULL,
    content      jsonb       NOT NULL,
    tier         smallint    NOT NULL CHECK (tier BETWEEN 0 AND 3),
    status       text        NOT NULL CHECK (status IN ('accepted', 'scheduled', 'queued', 'sending', 'unknown', 'sent', 'delivered',
                                                        'read', 'failed', 'expired', 'canceled', 'suppressed')),
    status_rank  smallint    NOT NULL,
    scheduled_at timestamptz,
    expires_at   timestamptz,
    reference    text,
    metadata     jsonb,
    wamid        text COLLATE "C",
    error_code   text,
    error_detail text,
    traceparent  text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);

-- Every state a message was ever told to be in, late and lower ones too. Told twice is written once.
CREATE TABLE timeline (
    message_id text COLLATE "C" NOT NULL,
    status     text        NOT NULL,
    at         timestamptz NOT NULL,
    code       text,
    PRIMARY KEY (message_id, status, at)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05);

CREATE TABLE idempotency_keys (
    tenant_id   text COLLATE "C" NOT NULL,
    route       text        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      smallint,
    answer      bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, route, key)
);
CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at);

-- Webhook payloads between the 200 and their events. A row goes when all of it was understood; the rest is kept, set aside.
CREATE TABLE webhooks (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    body        bytea       NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    quarantined text,
    traceparent text
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
ALTER TABLE webhooks ALTER COLUMN body SET STORAGE EXTERNAL;  -- short-lived: not worth compressing
CREATE INDEX webhooks_waiting ON webhooks (id) WHERE quarantined IS NULL;

-- Inbound messages already taken: the provider repeats itself for up to seven days.
CREATE TABLE inbound (
    number_id   text COLLATE "C" NOT NULL,
    wamid       text COLLATE "C" NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (number_id, wamid)
);
CREATE INDEX inbound_received_at ON inbound USING brin (received_at);
