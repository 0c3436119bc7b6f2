-- What people answered an entry with one emoji, by who did: {"<address>": {"emoji", "at"}}, and "business" for our side. The last of
-- each person counts; an empty emoji is one that was taken back, kept so that an older one that comes late does not bring it back.
ALTER TABLE entries ADD COLUMN reactions jsonb;

-- By whose they are, for erasure. Entries without reactions, which are nearly all, are not in it.
CREATE INDEX entries_by_reaction ON entries USING gin (reactions) WHERE reactions IS NOT NULL;

-- A reaction is put into its entry like other amendments. It names the conversation too: what we sent ourselves has no key by wamid.
ALTER TABLE amendments
    ADD COLUMN contact_phone text COLLATE "C",
    DROP CONSTRAINT amendments_kind_check,
    ADD CONSTRAINT amendments_kind_check CHECK (kind IN ('edit', 'revocation', 'media', 'reaction')),
    ADD CONSTRAINT amendments_contact_phone_check CHECK (kind <> 'reaction' OR contact_phone IS NOT NULL);

-- The newest name wins, however late it is told.
ALTER TABLE participants ADD COLUMN named_at timestamptz;
