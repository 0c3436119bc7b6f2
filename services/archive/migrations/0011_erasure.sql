-- All conversations of one person, with whichever number.
CREATE INDEX conversations_by_contact ON conversations (tenant_id, contact_phone);
