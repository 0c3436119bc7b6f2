-- What `/admin/db/stats` tells slow queries by.
CREATE EXTENSION pg_stat_statements;
