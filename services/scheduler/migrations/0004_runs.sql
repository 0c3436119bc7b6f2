-- An occasion on which something goes to an audience. asking: audience and contents, as they are asked for (JSON); terms: the rest
-- of what is to be done (JSON). page and cursor: the page of the audience that is awaited, asked for again at ask_at. tend_at: when
-- the dispatch looks at it next. tokens, paced_at and paced_seconds: what the run's own pace allows, as of then, and how long it has
-- been running. base_sent (sent or failed) and base_failed: where the failure rate counts from. is_forgotten: it is over for so
-- long that its recipients and its asking are gone.
CREATE TABLE runs (
    id            text COLLATE "C" PRIMARY KEY,
    tenant_id     text COLLATE "C" NOT NULL,
    kind          text        NOT NULL CHECK (kind IN ('occurrence', 'campaign', 'preflight')),
    owner_id      text COLLATE "C" NOT NULL,
    number_id     text COLLATE "C" NOT NULL,
    state         text        NOT NULL DEFAULT 'expanding'
                  CHECK (state IN ('expanding', 'running', 'paused', 'canceled', 'ended', 'failed')),
    code          text,
    detail        text,
    since         timestamptz NOT NULL,
    asking        text        NOT NULL,
    terms         text        NOT NULL,
    is_expanded   boolean     NOT NULL DEFAULT false,
    page          integer     NOT NULL DEFAULT 0,
    cursor        text,
    ask_at        timestamptz NOT NULL,
    askings       integer     NOT NULL DEFAULT 1,
    tend_at       timestamptz NOT NULL DEFAULT 'infinity',
    tokens        double precision NOT NULL DEFAULT 0,
    paced_at      timestamptz,
    paced_seconds double precision NOT NULL DEFAULT 0,
    base_sent     integer     NOT NULL DEFAULT 0,
    base_failed   integer     NOT NULL DEFAULT 0,
    is_forgotten  boolean     NOT NULL DEFAULT false,
    created_at    timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

CREATE INDEX runs_of_owner ON runs (owner_id, id);
CREATE INDEX runs_asking ON runs (ask_at) WHERE NOT is_expanded AND state IN ('expanding', 'paused');
CREATE INDEX runs_tended ON runs (tend_at) WHERE tend_at < 'infinity';
CREATE INDEX runs_tended_of_tenant ON runs (tenant_id, tend_at) WHERE tend_at < 'infinity';
CREATE INDEX runs_preflight ON runs (created_at) WHERE kind = 'preflight';
CREATE INDEX runs_over ON runs (since)
    WHERE kind <> 'preflight' AND state IN ('canceled', 'ended', 'failed') AND NOT is_forgotten;

-- The ledger: one row for each phone number of a run's audience, which ends in one state and keeps it. position: by page and place.
-- due_at: when it is to leave; of one that was asked for, when it was to leave. message_id: of the message that was asked for last.
-- content goes when the row has ended. failed_at: the provider took the message and reported later that it could not be delivered.
CREATE TABLE recipients (
    run_id       text COLLATE "C" NOT NULL,
    position     bigint      NOT NULL,
    phone        text COLLATE "C" NOT NULL,
    contact_id   text COLLATE "C",
    zone         text        NOT NULL,
    variant      integer     NOT NULL,
    content      text,
    due_at       timestamptz NOT NULL,
    expires_at   timestamptz,
    state        text        NOT NULL DEFAULT 'pending' CHECK (state IN (
        'pending', 'requested', 'sent', 'failed', 'rejected', 'canceled', 'expired', 'suppressed', 'unknown'
    )),
    code         text,
    detail       text,
    message_id   text COLLATE "C",
    ended_at     timestamptz,
    delivered_at timestamptz,
    read_at      timestamptz,
    failed_at    timestamptz,
    PRIMARY KEY (run_id, position)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

CREATE UNIQUE INDEX recipients_phone ON recipients (run_id, phone);
CREATE UNIQUE INDEX recipients_message ON recipients (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX recipients_open ON recipients (run_id, state, due_at, position) WHERE state IN ('pending', 'requested');

-- How many of a run's recipients are in which state, and were found twice, delivered and so on: the sum of both tables. Whoever
-- changes recipients adds lines to the second, in the same transaction and waiting for nobody; they are folded into the first.
CREATE TABLE run_counts (
    run_id text COLLATE "C" NOT NULL,
    what   text COLLATE "C" NOT NULL,
    amount bigint           NOT NULL,
    PRIMARY KEY (run_id, what)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02);

CREATE TABLE run_changes (
    id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text COLLATE "C" NOT NULL,
    what   text COLLATE "C" NOT NULL,
    amount bigint           NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX run_changes_of_run ON run_changes (run_id);
