-- name: start_following
-- Takes a follower's name; makes its row where it is missing: it has all rows before it.
INSERT INTO followers (name, stored_in) VALUES ($1, 0) ON CONFLICT (name) DO NOTHING

-- name: allow_seconds
-- Takes an interval; every statement of this transaction may take so long.
SELECT set_config('statement_timeout', $1, true)

-- name: claim_follower
-- Takes a follower's name; gives how far it has come and locks its row; nothing where another process has it or there is no such row.
SELECT stored_in FROM followers WHERE name = $1 FOR UPDATE SKIP LOCKED

-- name: rows_to_follow
-- Takes how far a follower has come and about how many rows it wants; gives where whole, finished transactions end that have so many,
-- and whether they have any. Transactions below the snapshot's lowest are all finished, so nothing can come in below that any more.
WITH horizon AS (
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + base AS stored_in FROM transactions_from  -- migration 0014
), enough AS (
    SELECT stored_in + 1 AS stored_in FROM search_rows WHERE stored_in >= $1 ORDER BY stored_in OFFSET $2 LIMIT 1
), until AS (
    SELECT greatest($1::bigint, least(horizon.stored_in, enough.stored_in)) AS stored_in
    FROM horizon LEFT JOIN enough ON true
)
SELECT until.stored_in AS until,
       EXISTS (SELECT FROM search_rows WHERE search_rows.stored_in >= $1 AND search_rows.stored_in < until.stored_in) AS has_rows
FROM until

-- name: move_follower
-- Takes a follower's name and how far it has come now.
UPDATE followers SET stored_in = $2 WHERE name = $1
