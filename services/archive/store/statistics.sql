-- name: mark_days
-- Takes a span of transactions; marks the days of the conversations that they stored entries of. The more messages a day had when it
-- was last counted, the later it is counted again: so counting costs no more, however busy a conversation is.
INSERT INTO stale_days (conversation_no, day, marked_at)
SELECT touched.conversation_no, touched.day,
       now() + least(coalesce(day_statistics.messages, 0) * interval '2 seconds', interval '10 minutes')
FROM (
    SELECT DISTINCT conversation_no, (sent_at AT TIME ZONE 'UTC')::date AS day
    FROM search_rows
    WHERE stored_in >= $1 AND stored_in < $2
) AS touched
LEFT JOIN day_statistics ON day_statistics.subject = touched.conversation_no AND day_statistics.day = touched.day

-- name: mark_entries
-- Takes conversations and moments of entries; marks their days.
INSERT INTO stale_days (conversation_no, day)
SELECT DISTINCT conversation_no, (sent_at AT TIME ZONE 'UTC')::date
FROM unnest($1::bigint[], $2::timestamptz[]) AS entry (conversation_no, sent_at)

-- name: hasten
-- Takes conversations; what is marked of them is due at once.
WITH days AS (
    UPDATE stale_days SET marked_at = '-infinity' WHERE conversation_no = ANY($1::bigint[]) AND marked_at > '-infinity'
)
UPDATE stale_months SET marked_at = '-infinity' WHERE conversation_no = ANY($1::bigint[]) AND marked_at > '-infinity'

-- name: mark_days_to_recheck
-- Takes a limit; marks days whose messages may have been delivered or read since.
WITH due AS (
    SELECT subject, day FROM day_statistics WHERE recheck_at <= now() ORDER BY recheck_at LIMIT $1
), marked AS (
    INSERT INTO stale_days (conversation_no, day, marked_at) SELECT subject, day, 'epoch' FROM due
)
UPDATE day_statistics SET recheck_at = NULL FROM due WHERE day_statistics.subject = due.subject AND day_statistics.day = due.day

-- name: take_stale_days
-- Takes seconds, a limit and how many entries are counted at once; takes so many days away whose first mark is as old, with all their
-- marks: no more days than have so many entries, but one at least. Gives the days, and whether their counting was hastened.
WITH due AS (
    SELECT conversation_no, day, min(marked_at) AS marked_at
    FROM (
        SELECT conversation_no, day, marked_at FROM stale_days
        WHERE marked_at <= now() - make_interval(secs => $1)
        ORDER BY marked_at, conversation_no, day
        LIMIT $2
    ) AS marked
    GROUP BY conversation_no, day
), weighed AS (
    SELECT conversation_no, day, marked_at,
           sum(entries) OVER (ORDER BY marked_at, conversation_no, day ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
    FROM due
    CROSS JOIN LATERAL (
        SELECT count(*) AS entries
        FROM search_rows
        WHERE search_rows.conversation_no = due.conversation_no
          AND sent_at >= due.day::timestamp AT TIME ZONE 'UTC' AND sent_at < (due.day + 1)::timestamp AT TIME ZONE 'UTC'
    ) AS counted
), fit AS (
    SELECT conversation_no, day, marked_at = '-infinity' AS is_hastened FROM weighed WHERE coalesce(before, 0) < $3
), taken AS (
    DELETE FROM stale_days USING fit WHERE stale_days.conversation_no = fit.conversation_no AND stale_days.day = fit.day
)
SELECT conversation_no, day, is_hastened FROM fit

-- name: recount_days
-- Takes conversations with first and last days, without overlaps; counts these days anew (domain/statistics.py names the counters)
-- and adds the difference to the days of the tenants. Returns the tenants. One at a time: the callers hold the follower's row.
WITH island AS (
    SELECT * FROM unnest($1::bigint[], $2::date[], $3::date[]) AS island (conversation_no, first_day, last_day)
), said AS MATERIALIZED (
    SELECT found.conversation_no, island.first_day, found.tenant_no, found.entry_id, found.sent_at, found.is_outgoing,
           found.is_notice, found.type, char_length(found.body) AS characters,
           coalesce(found.author_no::text, CASE WHEN found.is_outgoing THEN 'business' ELSE 'contact' END) AS author,
           (found.sent_at AT TIME ZONE 'UTC')::date AS day,
           floor(extract(epoch FROM (found.sent_at AT TIME ZONE 'UTC')::time) / 900)::integer AS slot
    FROM island
    JOIN search_rows AS found
      ON found.conversation_no = island.conversation_no
     AND found.sent_at >= (island.first_day - 10)::timestamp AT TIME ZONE 'UTC'
     AND found.sent_at < (island.last_day + 1)::timestamp AT TIME ZONE 'UTC'
), spoken AS (
    SELECT conversation_no, tenant_no, first_day, day, is_outgoing, sent_at, entry_id,
           sent_at - lag(sent_at) OVER talk AS silence, lag(is_outgoing) OVER talk AS before
    FROM said
    WHERE NOT is_notice
    WINDOW talk AS (PARTITION BY conversation_no, first_day ORDER BY sent_at, entry_id)
), turn AS (
    SELECT *, sent_at - lag(sent_at) OVER (PARTITION BY conversation_no, first_day ORDER BY sent_at, entry_id) AS waited
    FROM spoken
    WHERE before IS DISTINCT FROM is_outgoing OR silence > interval '3 days'
), fate AS (
    SELECT said.conversation_no, said.tenant_no, said.day, outgoing.status
    FROM said
    CROSS JOIN LATERAL (
        SELECT tenant_id, message_id FROM entries WHERE entries.id = said.entry_id AND entries.sent_at = said.sent_at OFFSET 0
    ) AS entry
    JOIN outgoing ON outgoing.tenant_id = entry.tenant_id AND outgoing.message_id = entry.message_id
    WHERE said.is_outgoing AND said.day >= said.first_day
), counted AS MATERIALIZED (
    SELECT conversation_no, tenant_no, day, counter, sum(number) AS number
    FROM (
        SELECT said.conversation_no, said.tenant_no, said.day, each.counter, each.number
        FROM said
        CROSS JOIN LATERAL (
            VALUES (CASE WHEN is_notice THEN 'n' WHEN is_outgoing THEN 'o:' || slot ELSE 'i:' || slot END, 1),
                   (CASE WHEN NOT is_notice THEN 't:' || type END, 1),
                   (CASE WHEN NOT is_notice THEN 'a:' || author END, 1),
                   (CASE WHEN NOT is_notice AND characters > 0 THEN 'b:' || author END, characters),
                   (CASE WHEN NOT is_notice AND characters > 0 THEN 'c' END, characters),
                   (CASE WHEN NOT is_notice AND characters > 0 THEN 'x' END, 1)
        ) AS each (counter, number)
        WHERE said.day >= said.first_day AND each.counter IS NOT NULL
        UNION ALL
        SELECT conversation_no, tenant_no, day,
               CASE WHEN is_outgoing THEN 'r:business:' ELSE 'r:contact:' END
                   || floor(ln(1 + extract(epoch FROM waited)::float8) / ln(1.1::float8))::integer,
               1
        FROM turn
        WHERE before <> is_outgoing AND silence <= interval '3 days' AND waited <= interval '7 days' AND day >= first_day
        UNION ALL
        SELECT conversation_no, tenant_no, day, 's:' || status, 1 FROM fate
        UNION ALL
        SELECT said.conversation_no, said.tenant_no, said.day, each.counter, 1
        FROM said
        JOIN annotations ON annotations.entry_id = said.entry_id AND annotations.state = 'done'
        CROSS JOIN LATERAL (
            VALUES ('l:' || annotations.language),
                   ('m:' || CASE WHEN annotations.sentiment >= 0.05 THEN 'positive' WHEN annotations.sentiment <= -0.05 THEN 'negative'
                                 WHEN annotations.sentiment IS NOT NULL THEN 'neutral' END)
        ) AS each (counter)
        WHERE said.day >= said.first_day AND each.counter IS NOT NULL
    ) AS piece
    GROUP BY conversation_no, tenant_no, day, counter
), known AS MATERIALIZED (
    SELECT day_statistics.subject, day_statistics.tenant_no, day_statistics.day, day_statistics.counts
    FROM island
    JOIN day_statistics
      ON day_statistics.subject = island.conversation_no AND day_statistics.day BETWEEN island.first_day AND island.last_day
), bounds AS (
    SELECT conversation_no, day,
           count(*) FILTER (WHERE NOT is_notice) AS messages,
           min(sent_at) FILTER (WHERE NOT is_notice) AS first_at, max(sent_at) FILTER (WHERE NOT is_notice) AS last_at
    FROM said
    GROUP BY conversation_no, day
), open AS (
    SELECT conversation_no, day FROM fate
    WHERE status NOT IN ('read', 'failed', 'canceled', 'expired')
    GROUP BY conversation_no, day
), fresh AS (
    SELECT counted.conversation_no AS subject, counted.day, counted.tenant_no, jsonb_object_agg(counter, number) AS counts
    FROM counted
    GROUP BY counted.conversation_no, counted.day, counted.tenant_no
), difference AS (
    SELECT -tenant_no AS subject, day, tenant_no, jsonb_object_agg(counter, number) AS counts
    FROM (
        SELECT tenant_no, day, counter, sum(number) AS number
        FROM (
            SELECT tenant_no, day, counter, number FROM counted
            UNION ALL
            SELECT tenant_no, day, each.key, -each.value::bigint FROM known CROSS JOIN LATERAL jsonb_each_text(counts) AS each
        ) AS both_of_them
        WHERE counter NOT LIKE 'a:%' AND counter NOT LIKE 'b:%'
        GROUP BY tenant_no, day, counter
        HAVING sum(number) <> 0
    ) AS changed
    GROUP BY tenant_no, day
), gone AS (
    DELETE FROM day_statistics
    USING known
    WHERE day_statistics.subject = known.subject AND day_statistics.day = known.day
      AND NOT EXISTS (SELECT FROM fresh WHERE fresh.subject = known.subject AND fresh.day = known.day)
)
INSERT INTO day_statistics AS held (subject, day, tenant_no, counts, messages, first_at, last_at, recheck_at)
SELECT fresh.subject, fresh.day, fresh.tenant_no, fresh.counts, coalesce(bounds.messages, 0), bounds.first_at, bounds.last_at,
       -- Later and later, for a week.
       CASE WHEN open.day IS NOT NULL AND bounds.last_at > now() - interval '7 days'
            THEN now() + greatest(interval '10 minutes', (now() - bounds.last_at) / 2) END
FROM fresh
LEFT JOIN bounds ON bounds.conversation_no = fresh.subject AND bounds.day = fresh.day
LEFT JOIN open ON open.conversation_no = fresh.subject AND open.day = fresh.day
UNION ALL
SELECT subject, day, tenant_no, counts, 0, NULL, NULL, NULL FROM difference
ON CONFLICT (subject, day) DO UPDATE
SET counts = CASE WHEN excluded.subject < 0 THEN add_counts(held.counts, excluded.counts) ELSE excluded.counts END,
    messages = excluded.messages,
    first_at = excluded.first_at,
    last_at = excluded.last_at,
    recheck_at = excluded.recheck_at
RETURNING tenant_no

-- name: refresh_conversation_stats
-- Takes conversations; sums their days up. Those without any are forgotten.
WITH day AS MATERIALIZED (
    SELECT subject, tenant_no, first_at, last_at, counts FROM day_statistics WHERE subject = ANY($1::bigint[])
), counted AS (
    SELECT day.subject, each.key AS counter, sum(each.value::bigint) AS number
    FROM day CROSS JOIN LATERAL jsonb_each_text(day.counts) AS each
    WHERE each.key LIKE 'a:%' OR each.key IN ('c', 'x')
    GROUP BY day.subject, each.key
), total AS (
    SELECT subject,
           sum(number) FILTER (WHERE counter LIKE 'a:%') AS messages,
           count(*) FILTER (WHERE counter LIKE 'a:%') AS people,
           sum(number) FILTER (WHERE counter = 'c') AS characters,
           sum(number) FILTER (WHERE counter = 'x') AS texts
    FROM counted
    GROUP BY subject
), bounds AS (
    SELECT subject, tenant_no, min(first_at) AS first_at, max(last_at) AS last_at FROM day GROUP BY subject, tenant_no
), gone AS (
    DELETE FROM conversation_stats
    WHERE conversation_no = ANY($1::bigint[]) AND NOT EXISTS (SELECT FROM day WHERE day.subject = conversation_no)
)
INSERT INTO conversation_stats AS held (
    conversation_no, tenant_no, message_count, participant_count, first_at, last_at, avg_message_length, counted_at
)
SELECT bounds.subject, bounds.tenant_no, coalesce(total.messages, 0), coalesce(total.people, 0), bounds.first_at, bounds.last_at,
       total.characters::real / nullif(total.texts, 0)::real, now()
FROM bounds LEFT JOIN total USING (subject)
ON CONFLICT (conversation_no) DO UPDATE
SET message_count = excluded.message_count,
    participant_count = excluded.participant_count,
    first_at = excluded.first_at,
    last_at = excluded.last_at,
    avg_message_length = excluded.avg_message_length,
    counted_at = excluded.counted_at

-- name: subjects_named
-- Takes numbers of conversations and of tenants; gives their ids.
SELECT id AS conversation_id, NULL AS tenant_id FROM conversations WHERE conversation_no = ANY($1::bigint[])
UNION ALL
SELECT NULL, tenant_id FROM tenants WHERE tenant_no = ANY($2::integer[])

-- name: subject_of_conversation
-- Takes a tenant and a conversation's id; gives its number, if it is the tenant's.
SELECT conversation_no FROM conversations WHERE tenant_id = $1 AND id = $2 AND last_entry_at IS NOT NULL

-- name: day_bounds
-- Takes a subject; gives its first and last counted day, and when it was last counted, for conversations.
SELECT (SELECT min(day) FROM day_statistics WHERE subject = $1) AS first_day,
       (SELECT max(day) FROM day_statistics WHERE subject = $1) AS last_day,
       (SELECT counted_at FROM conversation_stats WHERE conversation_no = $1) AS counted_at

-- name: total_counts
-- Takes a subject and days; gives all counters of these days but those of single quarters of an hour.
SELECT each.key AS counter, sum(each.value::bigint)::bigint AS number
FROM day_statistics
CROSS JOIN LATERAL jsonb_each_text(counts) AS each
WHERE subject = $1 AND day BETWEEN $2 AND $3 AND each.key NOT LIKE 'i:%' AND each.key NOT LIKE 'o:%'
GROUP BY each.key

-- name: local_counts
-- Takes a subject, local days, and the days of UTC that these lie in as clocks of a zone show them (domain/statistics.py: ZoneDay);
-- gives messages by local day (with hour and weekday NULL), and by hour and ISO weekday (with day NULL). Counts in hours since a
-- Monday, the first day of year 1, and sums these first: sums of dates and intervals take twice as long. OFFSET 0 has each quarter
-- of an hour read once.
SELECT '0001-01-01'::date + local_day AS day, weekday, hour, sum(incoming) AS incoming, sum(outgoing) AS outgoing
FROM (
    SELECT hour_no / 24 AS local_day, hour_no / 24 % 7 + 1 AS weekday, hour_no % 24 AS hour,
           sum(number) FILTER (WHERE NOT is_outgoing) AS incoming, sum(number) FILTER (WHERE is_outgoing) AS outgoing
    FROM (
        SELECT ((zone.day - '0001-01-01'::date) * 1440 + slot * 15
                   + CASE WHEN slot < change_slot THEN minutes ELSE minutes_after END) / 60 AS hour_no,
               is_outgoing, number
        FROM unnest($4::date[], $5::integer[], $6::integer[], $7::integer[]) AS zone (day, minutes, minutes_after, change_slot)
        JOIN day_statistics ON day_statistics.subject = $1 AND day_statistics.day = zone.day
        CROSS JOIN LATERAL (
            SELECT starts_with(key, 'o') AS is_outgoing, substr(key, 3)::integer AS slot, value::integer AS number
            FROM jsonb_each_text(counts)
            WHERE key LIKE 'i:%' OR key LIKE 'o:%'
            OFFSET 0
        ) AS quarter
        OFFSET 0
    ) AS counted
    WHERE hour_no >= ($2::date - '0001-01-01'::date) * 24 AND hour_no < ($3::date - '0001-01-01'::date + 1) * 24
    GROUP BY hour_no
) AS hourly
GROUP BY GROUPING SETS ((local_day), (weekday, hour))

-- name: moods_by_day
-- Takes a subject and days; gives the days (UTC) with messages whose mood is known.
SELECT day, coalesce((counts->>'m:positive')::bigint, 0) AS positive, coalesce((counts->>'m:neutral')::bigint, 0) AS neutral,
       coalesce((counts->>'m:negative')::bigint, 0) AS negative
FROM day_statistics
WHERE subject = $1 AND day BETWEEN $2 AND $3 AND counts ?| ARRAY['m:positive', 'm:neutral', 'm:negative']
ORDER BY day

-- name: longest_silence
-- Takes a conversation and days; gives the longest time between two days with messages, of equal ones the latest, and its ends.
SELECT last_at AS from_at, next_at AS until_at
FROM (
    SELECT last_at, lead(first_at) OVER (ORDER BY day) AS next_at
    FROM day_statistics
    WHERE subject = $1 AND day BETWEEN $2 AND $3 AND first_at IS NOT NULL
) AS days
WHERE next_at IS NOT NULL
ORDER BY next_at - last_at DESC, last_at DESC
LIMIT 1

-- name: participants_named
-- Takes numbers of participants; gives who they are.
SELECT participant_no, id, name, address, is_business FROM participants WHERE participant_no = ANY($1::bigint[])

-- name: conversation_stats
-- Takes a conversation's number; gives it in brief.
SELECT message_count, participant_count, first_at, last_at, avg_message_length, counted_at
FROM conversation_stats
WHERE conversation_no = $1

-- name: busiest_conversations
-- Takes a tenant's number and a limit; gives the conversations with most messages.
WITH busiest AS MATERIALIZED (
    SELECT conversation_no, message_count, participant_count, first_at, last_at, avg_message_length
    FROM conversation_stats
    WHERE tenant_no = $1
    ORDER BY message_count DESC, conversation_no
    LIMIT $2
)
SELECT conversations.id, message_count, participant_count, first_at, last_at, avg_message_length
FROM busiest
JOIN conversations USING (conversation_no)
ORDER BY message_count DESC, conversation_no
