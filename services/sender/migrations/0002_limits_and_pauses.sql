-- What the limits and the providers need to know of a number. The defaults are those of a record from before.
ALTER TABLE numbers
    ADD COLUMN provider text NOT NULL DEFAULT 'cloud_api',
    ADD COLUMN account_id text,
    ADD COLUMN display_number text,
    ADD COLUMN callback_url text,
    ADD COLUMN profile text NOT NULL DEFAULT 'cloud',
    ADD COLUMN calls_per_hour integer CHECK (calls_per_hour > 0),
    ADD COLUMN portfolio_id text,
    ADD COLUMN unique_users_per_day integer CHECK (unique_users_per_day >= 0),
    ADD COLUMN paused text;

-- on_unknown: what to do when nobody reports on an attempt of unknown outcome. released_at: the scheduler's time, told again with the
-- outcome.
ALTER TABLE attempts
    ADD COLUMN on_unknown text NOT NULL DEFAULT 'wait' CHECK (on_unknown IN ('wait', 'resend')),
    ADD COLUMN released_at timestamptz;

-- Templates that rest, by provider's refusal, for all numbers of an account. A row past its time means nothing.
CREATE TABLE paused_templates (
    account  text COLLATE "C" NOT NULL,
    name     text        NOT NULL,
    language text        NOT NULL,
    until    timestamptz NOT NULL,
    code     text        NOT NULL,
    PRIMARY KEY (account, name, language)
);
