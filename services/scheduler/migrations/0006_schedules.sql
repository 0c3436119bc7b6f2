-- What goes out later, once or again and again. definition: as its tenant gave it; timing and spec: what that means, read once. next_at is
-- the next occurrence that nobody has looked at yet; plan_at is when the planner looks at the schedule next, for that or to see whether
-- its runs have ended; waiting: occurrences whose turn comes when the run before them ends. active with no next_at: its last run is on.
CREATE TABLE schedules (
    id              text COLLATE "C" PRIMARY KEY,
    tenant_id       text COLLATE "C" NOT NULL,
    state           text        NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'paused', 'completed', 'canceled')),
    definition      text        NOT NULL,
    timing          text        NOT NULL,
    spec            text        NOT NULL,
    overlap         text        NOT NULL CHECK (overlap IN ('skip', 'buffer_one', 'buffer_all', 'cancel_other', 'allow_all')),
    catchup_seconds integer     NOT NULL CHECK (catchup_seconds >= 0),
    next_at         timestamptz,
    plan_at         timestamptz,
    waiting         timestamptz[] NOT NULL DEFAULT '{}',
    opened          integer     NOT NULL DEFAULT 0,
    missed_at       timestamptz,
    reference       text,
    group_ids       text[] COLLATE "C" NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
CREATE INDEX schedules_to_plan ON schedules (plan_at) WHERE state = 'active' AND plan_at IS NOT NULL;
CREATE INDEX schedules_of_tenant ON schedules (tenant_id, id);
CREATE INDEX schedules_open ON schedules (tenant_id, next_at) WHERE state IN ('active', 'paused');
CREATE INDEX schedules_of_reference ON schedules (tenant_id, reference, id) WHERE reference IS NOT NULL;

-- The runs that schedules have opened. due_at: the occurrence; for one in the recipients' own time, its first moment anywhere.
CREATE TABLE schedule_runs (
    run_id      text COLLATE "C" PRIMARY KEY,
    schedule_id text COLLATE "C" NOT NULL,
    due_at      timestamptz NOT NULL,
    opened_at   timestamptz NOT NULL,
    by_hand     boolean     NOT NULL DEFAULT false
);
CREATE INDEX schedule_runs_of_schedule ON schedule_runs (schedule_id, due_at DESC);
CREATE INDEX schedule_runs_age ON schedule_runs USING brin (opened_at);
