-- Where tenants want to be told of what happens. The secret that is valid for a while beside the new one is the previous one.
-- failing_since: nothing has succeeded since then, when something failed; failed_at: what failed last. rests_until: the receiver asked
-- for quiet. A deleted one goes when its deliveries are gone.
CREATE TABLE callbacks (
    id                     text COLLATE "C" PRIMARY KEY,
    tenant_id              text COLLATE "C" NOT NULL,
    revision               integer     NOT NULL DEFAULT 1,
    name                   text,
    url                    text        NOT NULL,
    format                 text        NOT NULL CHECK (format IN ('meta', 'standard')),
    events                 text[]      NOT NULL,
    number_ids             text[] COLLATE "C",
    sealed_secret          text        NOT NULL,
    sealed_previous_secret text,
    previous_until         timestamptz,
    sealed_verify_token    text,
    state                  text        NOT NULL CHECK (state IN ('enabled', 'disabled', 'deleted')),
    reason                 text,
    disabled_at            timestamptz,
    failing_since          timestamptz,
    failed_at              timestamptz,
    rests_until            timestamptz,
    created_at             timestamptz NOT NULL,
    updated_at             timestamptz NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX callbacks_of_tenant ON callbacks (tenant_id, id);
CREATE INDEX callbacks_off ON callbacks (id) WHERE state <> 'enabled';
CREATE INDEX callbacks_failing ON callbacks (failing_since) WHERE state = 'enabled' AND failing_since IS NOT NULL;

-- What was last told of each tenant, and the lock under which its callbacks change.
CREATE TABLE callback_tenants (
    tenant_id  text COLLATE "C" PRIMARY KEY,
    revision   integer NOT NULL DEFAULT 0,
    is_watched boolean NOT NULL DEFAULT false
);

-- One update for one callback. claim counts the claims: an outcome is written only by who claimed last. due_at of a claimed one is
-- the end of its lease. body is what is posted, tries what became of it, the latest last.
CREATE TABLE callback_deliveries (
    id          text COLLATE "C" PRIMARY KEY,
    callback_id text COLLATE "C" NOT NULL,
    update_id   text COLLATE "C" NOT NULL,
    type        text        NOT NULL,
    number_id   text COLLATE "C",
    occurred_at timestamptz NOT NULL,
    body        bytea       NOT NULL,
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'failed')),
    due_at      timestamptz NOT NULL DEFAULT now(),
    claim       integer     NOT NULL DEFAULT 0,
    is_claimed  boolean     NOT NULL DEFAULT false,
    failures    integer     NOT NULL DEFAULT 0,
    tries       jsonb       NOT NULL DEFAULT '[]',
    code        text,
    created_at  timestamptz NOT NULL DEFAULT now(),
    ended_at    timestamptz,
    UNIQUE (callback_id, update_id)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX callback_deliveries_waiting ON callback_deliveries (callback_id, due_at) WHERE state = 'waiting';
CREATE INDEX callback_deliveries_log ON callback_deliveries (callback_id, created_at, id);
CREATE INDEX callback_deliveries_failed ON callback_deliveries (callback_id, created_at, id) WHERE state = 'failed';
CREATE INDEX callback_deliveries_ended ON callback_deliveries (state, ended_at) WHERE state <> 'waiting';

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
