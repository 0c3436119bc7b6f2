-- Spans of recorded traces, where the gateway keeps them: so many, the oldest go first. `id` is the order in which they came.
-- Most rows are written once, read never and deleted in that order, so vacuum comes early.
CREATE TABLE spans (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    trace_id    bytea       NOT NULL CHECK (length(trace_id) = 16),
    span_id     bytea       NOT NULL CHECK (length(span_id) = 8),
    parent_id   bytea,
    service     text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    kind        text COLLATE "C" NOT NULL CHECK (kind IN ('internal', 'server', 'client', 'producer', 'consumer')),
    started_at  timestamptz NOT NULL,
    duration_us bigint      NOT NULL CHECK (duration_us >= 0),
    failed      boolean     NOT NULL,
    message_id  text COLLATE "C",
    attributes  json        NOT NULL,                   -- {name: value}
    events      json        NOT NULL,                   -- [[name, microseconds since the start, {name: value}]]
    links       json        NOT NULL,                   -- [[trace id, span id, {name: value}]], ids in hex
    linked      bytea[]                                 -- the traces that it links to; NULL: none
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1);
CREATE INDEX spans_trace ON spans (trace_id);
CREATE INDEX spans_message ON spans (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX spans_linked ON spans USING gin (linked) WHERE linked IS NOT NULL;

-- Each trace in sum, so that a list need not count spans. Written together with them.
CREATE TABLE traces (
    trace_id    bytea PRIMARY KEY CHECK (length(trace_id) = 16),
    name        text COLLATE "C" NOT NULL,              -- of its root, or while that is unknown of its earliest span
    service     text COLLATE "C" NOT NULL,
    has_root    boolean     NOT NULL,
    named_at    timestamptz NOT NULL,                   -- when the span began that the name is of
    tenant_id   text COLLATE "C",
    started_at  timestamptz NOT NULL,
    ended_at    timestamptz NOT NULL,
    longest_us  bigint      NOT NULL,                   -- of a single span
    services    text[]      NOT NULL,
    spans       integer     NOT NULL,
    failed      integer     NOT NULL,
    last_span   bigint      NOT NULL                    -- none of its spans came later: with the span of that id it can go
) WITH (autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX traces_started ON traces (started_at, trace_id);
CREATE INDEX traces_tenant ON traces (tenant_id, started_at) WHERE tenant_id IS NOT NULL;
CREATE INDEX traces_last_span ON traces (last_span);
