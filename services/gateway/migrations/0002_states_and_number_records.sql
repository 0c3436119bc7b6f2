-- A number's record says whose API it goes through, what limits it has, and whether it is paused and why.
ALTER TABLE numbers
    ADD COLUMN provider             text NOT NULL DEFAULT 'cloud_api' CHECK (provider IN ('cloud_api', 'twilio')),
    ADD COLUMN profile              text NOT NULL DEFAULT 'cloud' CHECK (profile IN ('cloud', 'device')),
    ADD COLUMN calls_per_hour       integer CHECK (calls_per_hour > 0),
    ADD COLUMN portfolio_id         text,
    ADD COLUMN unique_users_per_day integer CHECK (unique_users_per_day > 0),
    ADD COLUMN status               text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'paused')),
    ADD COLUMN paused_code          text,
    ADD COLUMN paused_detail        text,
    ADD COLUMN paused_at            timestamptz,
    ADD CHECK ((status = 'paused') = (paused_code IS NOT NULL) AND (status = 'paused') = (paused_at IS NOT NULL)),
    ALTER COLUMN verify_token_digest DROP NOT NULL;
COMMENT ON COLUMN numbers.waba_id IS 'The account: the WhatsApp Business Account, with Twilio the account''s SID.';

-- The timeline moves into the row that is written anyway: one new version of it instead of a row and an index entry per state
-- (services/gateway/domain/timeline.py says what a line holds). Versions that do not know the column go on writing the table
-- "timeline"; what they write is shown too. Once none of them runs, a migration can carry that over as 0003 does and drop the table.
ALTER TABLE messages
    ADD COLUMN on_unknown text NOT NULL DEFAULT 'wait',
    ADD COLUMN timeline   text NOT NULL DEFAULT '',
    -- Not validated, which would read the whole table under this lock: older rows have the default.
    ADD CHECK (on_unknown IN ('wait', 'resend')) NOT VALID;

-- A batch writes a new version of every message of a page at once: with room for all of them the index is left alone (HOT).
ALTER TABLE messages SET (fillfactor = 45);
