-- When this database was restored from a backup. What was due before the last time may have been sent by the platform that the
-- backup was taken from, so it is not sent again before an operator wants it (docs/decisions/0015-restored-backups.md).
CREATE TABLE restores (
    restored_at timestamptz PRIMARY KEY
);
