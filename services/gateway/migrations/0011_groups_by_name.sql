-- Files of contacts name the groups that their rows are to be in.
CREATE INDEX groups_name ON groups (tenant_id, name, id);
