-- Opt-outs of people who were erased: a message to one of their addresses is recognised by a digest of it, and nothing else is kept.
CREATE TABLE digest_key (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    key     bytea NOT NULL CHECK (length(key) = 32)
);
INSERT INTO digest_key (key) SELECT sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

CREATE TABLE kept_suppressions (
    tenant_id  text COLLATE "C" NOT NULL,
    digest     bytea       NOT NULL,                   -- SHA-256 of the key and the address
    scope      text        NOT NULL CHECK (scope IN ('all', 'marketing')),
    changed_at timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);
