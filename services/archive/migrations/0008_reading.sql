-- Files of a conversation, newest first, and how many there are of each kind. Rows without a file, which are nearly all, are not in it.
CREATE INDEX search_rows_media ON search_rows (conversation_no, sent_at DESC, entry_id DESC) INCLUDE (type)
    WHERE type IN ('audio', 'document', 'image', 'media', 'sticker', 'video');

-- Somebody was made one of the tenant's own people, or is no longer one: what they said has still to change its direction.
ALTER TABLE participants ADD COLUMN is_turning boolean NOT NULL DEFAULT false;
CREATE INDEX participants_turning ON participants (participant_no) WHERE is_turning;
