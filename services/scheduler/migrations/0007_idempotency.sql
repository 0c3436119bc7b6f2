-- The answers that were given under the callers' keys (shared/idempotency.py).
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
