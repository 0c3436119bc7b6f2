-- no transaction
-- What waits for an operator after a restore; empty on most platforms for ever.
CREATE INDEX CONCURRENTLY IF NOT EXISTS attempts_restored ON attempts (message_id) WHERE state = 'unknown' AND code = 'platform.restored';
