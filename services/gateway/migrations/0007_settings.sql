-- What a tenant wants of time and words; without a row: the defaults (services/gateway/tenant_settings.py).
CREATE TABLE tenant_settings (
    tenant_id   text COLLATE "C" PRIMARY KEY REFERENCES tenants,
    revision    integer     NOT NULL,
    time_zone   text        NOT NULL,
    hours       jsonb,
    stop_words  jsonb       NOT NULL,
    start_words jsonb       NOT NULL,
    updated_at  timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE numbers
    ADD COLUMN window_policy text NOT NULL DEFAULT 'enforce' CHECK (window_policy IN ('enforce', 'ignore'));

-- Of messages that a schedule or a campaign asked for, its run; of those to a contact, the contact.
ALTER TABLE messages
    ADD COLUMN run_id     text COLLATE "C",
    ADD COLUMN contact_id text COLLATE "C";
