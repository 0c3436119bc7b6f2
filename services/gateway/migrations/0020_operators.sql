-- Operators' keys: one opens the operational paths, and nobody's data. A key's text is shown once and never stored.
CREATE TABLE admin_keys (
    key_id     text COLLATE "C" PRIMARY KEY,
    name       text        NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    digest     bytea       NOT NULL CHECK (length(digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

-- What operators did, and who: written in the transaction of the deed where it has one, before it where it has none. `key_id` is null
-- where it was done from the command line.
CREATE TABLE admin_audit (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    key_id     text COLLATE "C",
    operator   text        NOT NULL,
    action     text COLLATE "C" NOT NULL,
    subject    text        NOT NULL,
    facts      jsonb       NOT NULL DEFAULT '{}',
    request_id text
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit of operators is only ever added to';
END
$$;
CREATE TRIGGER admin_audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON admin_audit
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Operators look through the numbers of all tenants, the paused ones first.
CREATE INDEX numbers_for_operators ON numbers ((paused_code IS NULL), id);
