-- name: insert_traces
-- Takes columns of summaries of spans that this transaction has copied, by trace id in order: what is known of each trace and what is
-- new come together. Locks the traces' rows until it ends.
INSERT INTO traces AS t (
    trace_id, name, service, has_root, named_at, tenant_id, started_at, ended_at, longest_us, services, spans, failed, last_span
)
SELECT n.trace_id, n.name, n.service, n.has_root, n.named_at, n.tenant_id, n.started_at, n.ended_at, n.longest_us,
    string_to_array(n.services, ' '), n.spans, n.failed, lastval()
FROM unnest(
    $1::bytea[], $2::text[], $3::text[], $4::boolean[], $5::timestamptz[], $6::text[], $7::timestamptz[], $8::timestamptz[],
    $9::bigint[], $10::text[], $11::integer[], $12::integer[]
) AS n (
    trace_id, name, service, has_root, named_at, tenant_id, started_at, ended_at, longest_us, services, spans, failed
)
ON CONFLICT (trace_id) DO UPDATE SET
    (name, service, has_root, named_at) = (
        SELECT best.name, best.service, best.has_root, best.named_at
        FROM (VALUES (t.name, t.service, t.has_root, t.named_at),
            (excluded.name, excluded.service, excluded.has_root, excluded.named_at)) AS best (name, service, has_root, named_at)
        ORDER BY best.has_root DESC, best.named_at LIMIT 1
    ),
    tenant_id = coalesce(t.tenant_id, excluded.tenant_id),
    started_at = least(t.started_at, excluded.started_at),
    ended_at = greatest(t.ended_at, excluded.ended_at),
    longest_us = greatest(t.longest_us, excluded.longest_us),
    services = CASE WHEN t.services @> excluded.services THEN t.services
        ELSE ARRAY(SELECT DISTINCT unnest(t.services || excluded.services) ORDER BY 1) END,
    spans = t.spans + excluded.spans,
    failed = t.failed + excluded.failed,
    last_span = greatest(t.last_span, excluded.last_span)

-- name: prune_spans
-- Takes how many spans to keep, an age and a limit; forgets of the oldest spans, as many as the limit says, those that are too many or
-- too old, and returns how many that were.
WITH oldest AS (SELECT id, started_at FROM spans ORDER BY id LIMIT $3),
gone AS (
    DELETE FROM spans USING oldest
    WHERE spans.id = oldest.id
        AND (oldest.id <= (SELECT max(id) FROM spans) - $1 OR oldest.started_at < now() - $2::interval)
    RETURNING 1
)
SELECT count(*) FROM gone

-- name: prune_traces
-- Takes a limit; forgets traces of which no span is there any more. One that is just getting a span is left alone: nobody waits.
DELETE FROM traces WHERE trace_id IN (
    SELECT trace_id FROM traces
    WHERE last_span < coalesce((SELECT min(id) FROM spans), 9223372036854775807)
    ORDER BY last_span LIMIT $1 FOR UPDATE SKIP LOCKED
)

-- name: search_traces
-- Takes the key to start before (moment, trace id), the earliest and the latest start, limit, tenant, message, service, whether it has
-- failed, the shortest duration of a span in microseconds, and a part of a span's name; NULL stands for any. What is asked of a span is
-- asked of one and the same. Last it takes whether traces count that are of a batch and did not fail. Returns the newest traces first.
SELECT t.trace_id, t.name, t.service, t.has_root, t.tenant_id, t.started_at, t.ended_at, t.longest_us, t.services, t.spans, t.failed
FROM traces t
WHERE (t.started_at, t.trace_id) < ($1, $2::bytea)
    AND t.started_at >= $3 AND t.started_at <= $4
    AND ($6::text IS NULL OR t.tenant_id = $6)
    AND ($7::text IS NULL OR t.trace_id IN (SELECT s.trace_id FROM spans s WHERE s.message_id = $7))
    AND ($8::text IS NULL OR t.services @> ARRAY[$8])
    AND ($9::boolean IS NULL OR (t.failed > 0) = $9)
    AND ($10::bigint IS NULL OR t.longest_us >= $10)
    AND ($12::boolean OR t.failed > 0 OR NOT starts_with(t.name, 'process batch '))
    AND (num_nonnulls($8, nullif($9, false), $10) < 2 AND $11::text IS NULL OR EXISTS (
        SELECT FROM spans s
        WHERE s.trace_id = t.trace_id
            AND ($8 IS NULL OR s.service = $8)
            AND ($9 IS NOT TRUE OR s.failed)
            AND ($10 IS NULL OR s.duration_us >= $10)
            AND ($11 IS NULL OR strpos(lower(s.name), lower($11)) > 0)
    ))
ORDER BY t.started_at DESC, t.trace_id DESC LIMIT $5

-- name: select_trace
-- Takes a trace id; returns it in sum.
SELECT trace_id, name, service, has_root, tenant_id, started_at, ended_at, longest_us, services, spans, failed
FROM traces WHERE trace_id = $1

-- name: select_spans
-- Takes a trace id and a limit; returns so many of its spans, the earliest first.
SELECT span_id, parent_id, service, name, kind, started_at, duration_us, failed, attributes, events, links
FROM spans WHERE trace_id = $1 ORDER BY started_at, id LIMIT $2

-- name: select_spans_of_message
-- Takes a trace id, a limit and a message; returns so many of the trace's spans that are of the message, with those above and below
-- them, the earliest first.
WITH RECURSIVE own AS MATERIALIZED (SELECT * FROM spans WHERE trace_id = $1),
above (span_id, parent_id) AS (
    SELECT span_id, parent_id FROM own WHERE message_id = $3
    UNION SELECT own.span_id, own.parent_id FROM own JOIN above ON own.span_id = above.parent_id
),
below (span_id) AS (
    SELECT span_id FROM own WHERE message_id = $3
    UNION SELECT own.span_id FROM own JOIN below ON own.parent_id = below.span_id
        WHERE own.message_id IS NULL OR own.message_id = $3
)
SELECT span_id, parent_id, service, name, kind, started_at, duration_us, failed, attributes, events, links
FROM own WHERE span_id IN (SELECT span_id FROM above UNION SELECT span_id FROM below)
ORDER BY started_at, id LIMIT $2

-- name: select_linking
-- Takes a trace id and a limit; returns spans of other traces that link to it.
SELECT trace_id, span_id, service, name, started_at, duration_us, failed
FROM spans WHERE linked @> ARRAY[$1::bytea] AND trace_id <> $1 ORDER BY id DESC LIMIT $2
