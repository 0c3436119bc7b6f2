-- What the business writes from its phone is outgoing, and no message of ours: it is kept by its wamid, as incoming ones are.
ALTER TABLE entries DROP CONSTRAINT entries_check;
ALTER TABLE entries DROP CONSTRAINT entries_check1;
-- Not validated, which would read every partition under this lock: the constraints before said more.
ALTER TABLE entries ADD CONSTRAINT entries_key CHECK (message_id IS NOT NULL OR wamid IS NOT NULL) NOT VALID;
COMMENT ON TABLE incoming IS 'The key of entries that have a wamid of their own: incoming ones, and echoes of what the business wrote.';
