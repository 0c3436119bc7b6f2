-- Contacts under one name. member_count is the number of rows in group_members, kept by the trigger below.
CREATE TABLE groups (
    id           text COLLATE "C" NOT NULL,
    tenant_id    text COLLATE "C" NOT NULL,
    name         text        NOT NULL,
    description  text,
    member_count integer     NOT NULL DEFAULT 0,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70);

CREATE TABLE group_members (
    tenant_id  text COLLATE "C" NOT NULL,
    group_id   text COLLATE "C" NOT NULL,
    contact_id text COLLATE "C" NOT NULL,
    added_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, group_id, contact_id),
    FOREIGN KEY (tenant_id, group_id) REFERENCES groups ON DELETE CASCADE,
    FOREIGN KEY (tenant_id, contact_id) REFERENCES contacts ON DELETE CASCADE
);
CREATE INDEX group_members_contact ON group_members (tenant_id, contact_id);

-- A trigger, because members also go with their contacts. Groups are locked in one order, so that two batches never wait for each
-- other.
CREATE FUNCTION count_group_members() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM groups
    WHERE (tenant_id, id) IN (SELECT tenant_id, group_id FROM changed) ORDER BY tenant_id, id FOR NO KEY UPDATE;
    UPDATE groups
    SET member_count = member_count + CASE TG_OP WHEN 'INSERT' THEN t.members ELSE -t.members END, updated_at = now()
    FROM (SELECT tenant_id, group_id, count(*) AS members FROM changed GROUP BY 1, 2) AS t
    WHERE groups.tenant_id = t.tenant_id AND groups.id = t.group_id;
    RETURN NULL;
END
$$;
CREATE TRIGGER group_members_added AFTER INSERT ON group_members
    REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_group_members();
CREATE TRIGGER group_members_removed AFTER DELETE ON group_members
    REFERENCING OLD TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION count_group_members();

-- Contacts by what is true of them. The filter is JSON text (services/gateway/domain/segment.py).
CREATE TABLE segments (
    id         text COLLATE "C" NOT NULL,
    tenant_id  text COLLATE "C" NOT NULL,
    name       text        NOT NULL,
    filter     jsonb       NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);
