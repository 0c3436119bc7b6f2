-- People who are being erased, and what was done for each. Who it is stands in `sealed_person` (AES-256-GCM) until it is done, then
-- nowhere: by `digests`, of their addresses under a key of the service's, somebody who has the address can be recognised.
CREATE TABLE erasures (
    id              text COLLATE "C" NOT NULL,
    tenant_id       text COLLATE "C" NOT NULL REFERENCES tenants,
    requested_by    text COLLATE "C" NOT NULL,         -- the API key that was used
    digests         bytea[]     NOT NULL,
    contact_ids     text[]      NOT NULL,
    participant_ids text[]      NOT NULL,
    sealed_person   text,
    state           text        NOT NULL CHECK (state IN ('running', 'verifying', 'completed')),
    erases          boolean     NOT NULL DEFAULT true,  -- what the present pass does; otherwise it counts what is left
    clean_passes    integer     NOT NULL DEFAULT 0,     -- of those that counted nothing, one after the other
    service         text        NOT NULL,               -- where the pass is, and at which step
    place           text        NOT NULL DEFAULT '',
    erased          jsonb       NOT NULL DEFAULT '{}',  -- by service and part, of all passes
    remaining       jsonb       NOT NULL DEFAULT '{}',  -- by service and part, of the last pass that counted
    passes          integer     NOT NULL DEFAULT 0,
    code            text,                               -- why it has not gone on
    claim           integer     NOT NULL DEFAULT 0,     -- counts the claims: only who claimed last writes
    due_at          timestamptz NOT NULL DEFAULT now(), -- of a claimed one the end of its lease
    failures        integer     NOT NULL DEFAULT 0,
    created_at      timestamptz NOT NULL DEFAULT now(),
    completed_at    timestamptz,
    verified_at     timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK ((state = 'completed') = (sealed_person IS NULL))
);
CREATE INDEX erasures_due ON erasures (due_at) WHERE state <> 'completed';

-- Opt-outs of people who were erased: their addresses are not there any more, only what an address can be compared with.
CREATE TABLE digest_key (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    key     bytea NOT NULL CHECK (length(key) = 32)
);
INSERT INTO digest_key (key) SELECT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

CREATE TABLE erased_opt_outs (
    tenant_id text COLLATE "C" NOT NULL,
    digest    bytea       NOT NULL,                     -- SHA-256 of the key and the address
    scope     text COLLATE "C" NOT NULL CHECK (scope IN ('all', 'marketing')),
    at        timestamptz NOT NULL,
    source    text        NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);
