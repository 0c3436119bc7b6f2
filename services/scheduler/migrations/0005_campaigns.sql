-- A campaign. definition is what its tenant wants, as JSON; history what was done to it, as JSON, oldest first. A campaign without
-- a run is a draft; the state of any other is that of its run, and stands nowhere else. preflight_run_id is the dry run of this
-- very definition: a change takes it away. first_due_at is when the first message of a started one may leave.
CREATE TABLE campaigns (
    id               text COLLATE "C" PRIMARY KEY,
    tenant_id        text COLLATE "C" NOT NULL,
    name             text        NOT NULL,
    definition       text        NOT NULL,
    history          text        NOT NULL,
    run_id           text COLLATE "C",
    preflight_run_id text COLLATE "C",
    first_due_at     timestamptz,
    created_at       timestamptz NOT NULL,
    updated_at       timestamptz NOT NULL
);
CREATE INDEX campaigns_tenant ON campaigns (tenant_id, id);

-- Who sends is chosen among the tenant's numbers whenever a campaign or a schedule is made or shown.
CREATE INDEX numbers_of_tenant ON numbers (tenant_id, number_id);
