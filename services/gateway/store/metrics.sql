-- name: measure_webhooks
-- How many payloads wait to be read, the age of the oldest of them in seconds (0: none), and how many are set aside; each counted to
-- 10,000, so that it takes milliseconds however many there are.
SELECT
    (SELECT count(*) FROM (SELECT FROM webhooks WHERE quarantined IS NULL LIMIT 10000) AS counted) AS waiting,
    coalesce((
        SELECT greatest(0, extract(epoch FROM now() - received_at)) FROM webhooks WHERE quarantined IS NULL ORDER BY id LIMIT 1
    ), 0)::float AS oldest_seconds,
    (SELECT count(*) FROM (SELECT FROM webhooks WHERE quarantined IS NOT NULL LIMIT 10000) AS counted) AS quarantined
