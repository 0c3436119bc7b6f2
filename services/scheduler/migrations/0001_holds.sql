-- What the scheduler needs to know of a number: how many messages may be between release and outcome at once. Those that were
-- served longest ago are next.
CREATE TABLE numbers (
    number_id           text COLLATE "C" PRIMARY KEY,
    tenant_id           text COLLATE "C" NOT NULL,
    revision            integer NOT NULL,
    messages_per_second integer NOT NULL CHECK (messages_per_second > 0),
    window_size         integer NOT NULL CHECK (window_size > 0),
    in_flight           integer NOT NULL DEFAULT 0 CHECK (in_flight >= 0),
    served_at           timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- A message between acceptance and outcome. waiting: for its time or for room; released: told to the sender; unsettled: the
-- provider may have it. The row goes when the outcome is known. released_at is when the present attempt was released, however
-- often it is told again; repeat_at is when it is, unless an outcome comes.
CREATE TABLE holds (
    message_id  text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    number_id   text COLLATE "C" NOT NULL,
    state       text        NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'released', 'unsettled')),
    tier        smallint    NOT NULL CHECK (tier BETWEEN 0 AND 3),
    due_at      timestamptz NOT NULL,
    expires_at  timestamptz,
    attempt     integer     NOT NULL DEFAULT 0,
    failures    integer     NOT NULL DEFAULT 0,
    recipient   text        NOT NULL,
    content     text        NOT NULL,
    traceparent text,
    released_at timestamptz,
    tellings    integer     NOT NULL DEFAULT 0,
    repeat_at   timestamptz
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX holds_due ON holds (number_id, tier, due_at, message_id) WHERE state = 'waiting';
CREATE INDEX holds_expiring ON holds (expires_at) WHERE state = 'waiting' AND expires_at IS NOT NULL;
CREATE INDEX holds_released ON holds (repeat_at) WHERE state = 'released';
