-- name: select_statements
-- Takes a limit; returns the own role's statements with the longest mean time. Only where `has_statement_statistics`.
SELECT left(query, 1000) AS statement, calls, mean_exec_time AS mean_ms, max_exec_time AS longest_ms
FROM public.pg_stat_statements
WHERE userid = (SELECT oid FROM pg_roles WHERE rolname = current_user)
  AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY mean_exec_time DESC LIMIT $1
