-- Tenants who want to be told of updates: those with a callback that is on, as the sender says, and those who read live or have of late.
CREATE TABLE watched (
    tenant_id  text COLLATE "C" PRIMARY KEY,
    revision   bigint      NOT NULL DEFAULT 0,  -- of the sender's word; later ones win
    is_watched boolean     NOT NULL DEFAULT false,
    live_until timestamptz
);
