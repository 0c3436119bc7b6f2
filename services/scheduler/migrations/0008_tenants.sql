-- What the scheduler needs to know of a tenant: its time zone, and the hours of what has none of its own (JSON).
CREATE TABLE tenants (
    tenant_id text COLLATE "C" PRIMARY KEY,
    revision  integer NOT NULL,
    time_zone text    NOT NULL,
    hours     text
);
