-- Nothing of a scope (a number's id, a tenant's id, or * for everything) leaves before `until` that is of one of these tiers.
-- Updated in place again and again while a limit is reached, so there is room in the pages.
CREATE TABLE gates (
    scope     text COLLATE "C" NOT NULL,
    tier      smallint         NOT NULL CHECK (tier BETWEEN 0 AND 3),
    last_tier smallint         NOT NULL DEFAULT 3 CHECK (last_tier BETWEEN tier AND 3),
    until     timestamptz      NOT NULL,
    PRIMARY KEY (scope, tier, last_tier)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- The code of the reason why the number releases nothing. A claim reads the others only, however many are paused.
ALTER TABLE numbers ADD COLUMN paused text;
CREATE INDEX numbers_open ON numbers (number_id) WHERE paused IS NULL;

-- first_due_at is set when the message is put back for the first time: until then it is due_at. The check is not validated: no row
-- that is there has anything but the default.
ALTER TABLE holds ADD COLUMN first_due_at timestamptz, ADD COLUMN on_unknown text NOT NULL DEFAULT 'wait';
ALTER TABLE holds ADD CONSTRAINT holds_on_unknown_check CHECK (on_unknown IN ('wait', 'resend')) NOT VALID;

-- holds is empty at night and has a million rows at noon. A plan that was made while it was empty stays until the table is analyzed, up
-- to a minute into a burst; one that reads it whole costs a hundred times as much by then. So the scheduler's statements, all of which
-- have an index to go by, are planned once and go by it. Asked first, because a role belongs to all databases of a server.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'chasqui_scheduler' AND 'enable_seqscan=off' = ANY (rolconfig)) THEN
        ALTER ROLE chasqui_scheduler SET enable_seqscan = off;
        ALTER ROLE chasqui_scheduler SET plan_cache_mode = force_generic_plan;
    END IF;
END $$;
