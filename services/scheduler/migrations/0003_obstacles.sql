-- blocked: due, and waiting for something other than room; `code` says for what. quiet_at: the moment from which it may not leave,
-- until the next opening of `hours` (JSON). template: name and language, by which a template is known; free_form: there is none, so
-- the provider takes it within a customer service window only. is_later: it waits for longer than a moment. The defaults are for
-- rows that are there: they are neither refused nor blocked. The check is not validated: it allows more than the one before.
ALTER TABLE holds
    ADD COLUMN run_id        text COLLATE "C",
    ADD COLUMN hours         text,
    ADD COLUMN quiet_at      timestamptz,
    ADD COLUMN needs_consent boolean NOT NULL DEFAULT true,
    ADD COLUMN template      text COLLATE "C",
    ADD COLUMN free_form     boolean NOT NULL DEFAULT false,
    ADD COLUMN is_later      boolean NOT NULL DEFAULT false,
    ADD COLUMN code          text,
    DROP CONSTRAINT holds_state_check;
ALTER TABLE holds ADD CONSTRAINT holds_state_check CHECK (state IN ('waiting', 'blocked', 'released', 'unsettled')) NOT VALID;

-- What is false of most rows comes first: every insert and update asks.
DROP INDEX holds_expiring;
CREATE INDEX holds_expiring ON holds (expires_at) WHERE expires_at IS NOT NULL AND state IN ('waiting', 'blocked');
CREATE INDEX holds_blocked ON holds (template, number_id) WHERE code IS NOT NULL AND state = 'blocked';
CREATE INDEX holds_later ON holds (tenant_id, recipient COLLATE "C") WHERE is_later AND state IN ('waiting', 'blocked');
CREATE INDEX holds_unsettled ON holds (repeat_at) WHERE state = 'unsettled';
CREATE INDEX holds_of_runs ON holds (run_id) WHERE run_id IS NOT NULL AND state IN ('waiting', 'blocked');

-- windows_known_from: inbound messages are known here for as long as a window lasts, so what is not in `windows` is closed. For the
-- numbers that are there nothing was known before.
ALTER TABLE numbers
    ADD COLUMN account_id            text COLLATE "C",
    ADD COLUMN portfolio_id          text COLLATE "C",
    ADD COLUMN unique_users_per_day  integer,
    ADD COLUMN enforces_windows      boolean NOT NULL DEFAULT false,
    ADD COLUMN window_known_from     timestamptz NOT NULL DEFAULT now() + interval '24 hours';

-- Who does not want to be written to: everything, or only marketing. Who does again keeps a row without a scope for a while, so
-- that an opt-out from before it, told late, changes nothing.
CREATE TABLE suppressions (
    tenant_id  text COLLATE "C" NOT NULL,
    phone      text COLLATE "C" NOT NULL,
    scope      text             CHECK (scope IN ('all', 'marketing')),
    changed_at timestamptz      NOT NULL,
    told_at    timestamptz      NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, phone)
) WITH (autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX suppressions_lifted ON suppressions (told_at) WHERE scope IS NULL;

-- When somebody last wrote to a number.
CREATE TABLE windows (
    number_id       text COLLATE "C" NOT NULL,
    phone           text COLLATE "C" NOT NULL,
    last_inbound_at timestamptz      NOT NULL,
    PRIMARY KEY (number_id, phone)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01);
CREATE INDEX windows_age ON windows (last_inbound_at);

-- What the provider says of the templates of an account. held: the code of the reason why it cannot be sent.
CREATE TABLE templates (
    account_id text COLLATE "C" NOT NULL,
    template   text COLLATE "C" NOT NULL,
    category   text,
    held       text,
    changed_at timestamptz      NOT NULL,
    PRIMARY KEY (account_id, template)
);

-- A hundredth of the table before a vacuum, beside the thousand rows that it takes anyway: with ten million holds each one reads
-- gigabytes of indexes.
ALTER TABLE holds SET (autovacuum_vacuum_scale_factor = 0.01);
