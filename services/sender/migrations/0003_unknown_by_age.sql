-- no transaction
-- What the end of the grace time looks for; what is told already is left out, or it would be read again for eight days.
CREATE INDEX CONCURRENTLY IF NOT EXISTS attempts_unknown ON attempts (settled_at)
    WHERE state = 'unknown' AND code <> 'unknown.unconfirmed';
