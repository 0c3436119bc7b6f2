-- What the sender needs to know of a number. The token is sealed; it is opened in memory only.
CREATE TABLE numbers (
    number_id           text COLLATE "C" PRIMARY KEY,
    tenant_id           text COLLATE "C" NOT NULL,
    revision            integer NOT NULL,
    phone_number_id     text NOT NULL,
    provider_url        text NOT NULL,
    sealed_access_token text NOT NULL,
    messages_per_second integer NOT NULL CHECK (messages_per_second > 0)
);

-- One row per attempt, written before the call: the pair is the promise that it is made at most once.
CREATE TABLE attempts (
    message_id   text COLLATE "C" NOT NULL,
    attempt      integer     NOT NULL CHECK (attempt > 0),
    tenant_id    text COLLATE "C" NOT NULL,
    number_id    text COLLATE "C" NOT NULL,
    state        text        NOT NULL DEFAULT 'submitting'
                 CHECK (state IN ('submitting', 'sent', 'failed', 'deferred', 'unknown')),
    instance     text        NOT NULL,
    lease_until  timestamptz NOT NULL,
    started_at   timestamptz NOT NULL DEFAULT now(),
    settled_at   timestamptz,
    wamid        text,
    code         text,
    detail       text,
    retry_at     timestamptz,
    counted      boolean     NOT NULL DEFAULT true,
    traceparent  text,
    PRIMARY KEY (message_id, attempt)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX attempts_submitting ON attempts (lease_until) WHERE state = 'submitting';
CREATE INDEX attempts_started_at ON attempts USING brin (started_at);
