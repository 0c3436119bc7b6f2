-- name: open_imports
-- How many imports are in each of the states that are not the last, and for how many seconds the one that has stood still the longest
-- has. Two steps, because the indexes are of these states.
SELECT state, count(*) AS imports, extract(epoch FROM now() - min(updated_at))::float8 AS idle_seconds
FROM imports WHERE state IN ('surveying', 'importing', 'undoing') GROUP BY state
UNION ALL
SELECT state, count(*), 0 FROM imports WHERE state IN ('uploading', 'ready') GROUP BY state

-- name: open_exports
-- How many exports are in each of the states that are not the last, and the seconds since the oldest was asked for.
SELECT state, count(*) AS exports, extract(epoch FROM now() - min(created_at))::float8 AS oldest_seconds
FROM exports WHERE state IN ('queued', 'running') GROUP BY state

-- name: followed_until
-- Takes names of followers; gives of those that have begun the first entry that each has not come to; NULL where it has come to all.
SELECT followers.name, (
    SELECT entry_id FROM search_rows WHERE stored_in >= followers.stored_in ORDER BY stored_in LIMIT 1
) AS entry_id
FROM followers WHERE followers.name = ANY($1::text[])

-- name: stale_since
-- The seconds since the first day, and the first month's words, were to be counted anew, each NULL where there is none. What is
-- hastened, or looked at again, has no time of its own.
SELECT extract(epoch FROM now() - (
           SELECT marked_at FROM stale_days WHERE marked_at > 'epoch' ORDER BY marked_at LIMIT 1
       ))::float8 AS days,
       extract(epoch FROM now() - (
           SELECT marked_at FROM stale_months WHERE marked_at > 'epoch' ORDER BY marked_at LIMIT 1
       ))::float8 AS words
