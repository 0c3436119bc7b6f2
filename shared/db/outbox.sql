-- What every schema that publishes has. One outbox row is one batch of events; the inbox remembers events whose effect has no
-- natural key. Rows of both are short-lived, so vacuum follows the count of dead rows and not the size of the table.
CREATE TABLE outbox (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject      text        NOT NULL,
    body         bytea       NOT NULL,
    events       integer     NOT NULL CHECK (events > 0),
    created_at   timestamptz NOT NULL DEFAULT now(),
    leased_until timestamptz NOT NULL DEFAULT now() + interval '15 seconds'
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- The sweep goes by it, past any number of rows that others have leased.
CREATE INDEX outbox_leased ON outbox (leased_until, id);

-- A body lives for milliseconds; compressing it would cost more than writing it.
ALTER TABLE outbox ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE inbox (
    subscription text        NOT NULL,
    event_id     text        NOT NULL COLLATE "C",
    seen_at      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, subscription)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX inbox_seen_at ON inbox (seen_at);
