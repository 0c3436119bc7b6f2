-- What stays of an erased contact that had opted out: the number that must not be written to, what was said, and when. It goes with a
-- later opt-in.
CREATE TABLE kept_opt_outs (
    tenant_id text COLLATE "C" NOT NULL,
    phone     text COLLATE "C" NOT NULL,  -- as contacts have it: the one spelling of its line
    scope     text COLLATE "C" NOT NULL CHECK (scope IN ('all', 'marketing')),
    at        timestamptz NOT NULL,
    source    text        NOT NULL,
    PRIMARY KEY (tenant_id, phone)
);
