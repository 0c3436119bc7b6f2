-- name: select_database_size
-- Returns the bytes of the whole database, those of the own schema's tables with their indexes, and since when the server counts.
SELECT pg_database_size(current_database()) AS database_bytes,
       coalesce(sum(pg_total_relation_size(c.oid)), 0)::bigint AS schema_bytes,
       (SELECT stats_reset FROM pg_stat_database WHERE datname = current_database()) AS counted_since
FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'm')

-- name: select_tables
-- Takes a limit; returns the largest tables of the own schema: their size, how they are read, and what of them vacuum has yet to clear.
SELECT relname AS name, pg_total_relation_size(relid) AS bytes, n_live_tup AS live_rows, n_dead_tup AS dead_rows, seq_scan,
       seq_tup_read, coalesce(idx_scan, 0) AS index_scans, greatest(last_vacuum, last_autovacuum) AS vacuumed_at,
       greatest(last_analyze, last_autoanalyze) AS analyzed_at
FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY 2 DESC, 1 LIMIT $1

-- name: select_unused_indexes
-- Takes a limit; returns the largest indexes of the own schema that nothing was read by and that guard nothing.
SELECT s.relname AS on_table, s.indexrelname AS name, pg_relation_size(s.indexrelid) AS bytes
FROM pg_stat_user_indexes s JOIN pg_index i ON i.indexrelid = s.indexrelid
WHERE s.schemaname = current_schema() AND s.idx_scan = 0 AND NOT i.indisunique AND NOT i.indisexclusion ORDER BY 3 DESC, 2 LIMIT $1

-- name: has_statement_statistics
-- Whether the server keeps figures of statements where everybody finds them.
SELECT to_regclass('public.pg_stat_statements') IS NOT NULL
