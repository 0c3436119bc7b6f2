"""Every metric of the platform, declared once, like an API: dashboards, alerts and scaling rely on these names.

A constant is called as its metric without `chasqui_`. Values are in base units: seconds, bytes, shares of 1. Labels have few
values: routes, queues, tiers, codes, the ids of an installation's own numbers; never a tenant, a contact, a message.

A gauge says how to put together what several replicas show: `across`. What all of them read from the same queue or table is no more
for being read twice.
"""

from __future__ import annotations

from typing import Final

from shared.telemetry.metric import ALL, FAST, REQUEST, WAIT, Metric, counter, each, gauge, histogram

TIERS: Final = ("critical", "high", "normal", "low")

# HTTP: answers of the service's own port. Probes and scrapes are not counted.
HTTP_REQUESTS_TOTAL: Final = counter(
    "chasqui_http_requests_total", "Requests answered, or begun to be, by route.", "method", "route", "status", services=ALL
)
HTTP_REQUEST_DURATION_SECONDS: Final = histogram(
    "chasqui_http_request_duration_seconds",
    "From the request's head to its answer's being complete: written, of what is streamed. Streams of events are left out.",
    REQUEST,
    "method",
    "route",
    services=ALL,
)
HTTP_REQUESTS_IN_FLIGHT: Final = gauge(
    "chasqui_http_requests_in_flight", "Requests in hand now, streams of events left out.", across="sum", services=ALL
)
HTTP_CONNECTIONS: Final = gauge("chasqui_http_connections", "Open connections, idle ones too.", across="sum", services=ALL)

# Bus
BUS_EVENTS_TOTAL: Final = counter(
    "chasqui_bus_events_total",
    "Events that a subscription has settled: `done`, `retried` (they come again) or `dead` (they lie in its dead-letter queue).",
    "subscription",
    "outcome",
)
BUS_HANDLER_DURATION_SECONDS: Final = histogram(
    "chasqui_bus_handler_duration_seconds", "From a batch of events being taken to its settling.", REQUEST, "subscription"
)
BUS_EVENTS_IN_HAND: Final = gauge(
    "chasqui_bus_events_in_hand", "Events that this process is handling now.", "subscription", across="sum"
)
BUS_EVENT_AGE_SECONDS: Final = histogram(
    "chasqui_bus_event_age_seconds",
    "From what happened to its having been handled. Of a batch taken at once the first event speaks for all.",
    WAIT,
    "subscription",
)
BUS_QUEUE_MESSAGES: Final = gauge(
    "chasqui_bus_queue_messages",
    "Bus messages that wait in a queue, not taken by any consumer yet; a message is a batch of events.",
    "queue",
)
BUS_DEAD_LETTERS: Final = gauge("chasqui_bus_dead_letters", "Events in a queue's dead-letter queue.", "queue")
BUS_PUBLISHED_TOTAL: Final = counter("chasqui_bus_published_total", "Events that the bus has taken custody of.", "subject")
BUS_PUBLISH_FAILURES_TOTAL: Final = counter(
    "chasqui_bus_publish_failures_total",
    "Batches that the bus did not take (`refused`), or perhaps did (`uncertain`); they wait in the outbox and are published again.",
    "reason",
    starts=each("refused", "uncertain"),
)
OUTBOX_ROWS: Final = gauge(
    "chasqui_outbox_rows", "Batches in the service's outbox, those on their way too. Counted to 10,000 and no further."
)
OUTBOX_OLDEST_AGE_SECONDS: Final = gauge(
    "chasqui_outbox_oldest_age_seconds",
    "Age of the oldest batch in the service's outbox, 0 when it is empty: how far publishing lags.",
)

# Database and caches
DB_POOL_CONNECTIONS: Final = gauge(
    "chasqui_db_pool_connections", "A pool's connections: `in_use`, `idle`, or allowed (`max`).", "pool", "state", across="sum"
)
DB_QUERY_DURATION_SECONDS: Final = histogram(
    "chasqui_db_query_duration_seconds",
    "Statements other than COPY, by the pool whose connection ran them, as this process waits for them.",
    FAST,
    "pool",
)
DB_SLOW_QUERIES_TOTAL: Final = counter("chasqui_db_slow_queries_total", "Statements that took half a second or longer.", "pool")
CACHE_READS_TOTAL: Final = counter(
    "chasqui_cache_reads_total",
    "Reads through a cache: a `hit`, a `miss`, or a miss because Redis was `away`.",
    "cache",
    "result",
    services=("gateway", "sender", "archive"),
)

# Process
EVENT_LOOP_LAG_SECONDS: Final = histogram(
    "chasqui_event_loop_lag_seconds",
    "How much later than asked for a timer of the event loop fires, tried several times a second.",
    FAST,
    services=ALL,
)
PROCESS_IO_BYTES_TOTAL: Final = counter(
    "chasqui_process_io_bytes_total",
    "Bytes that the process had the disks read and write.",
    "direction",
    services=ALL,
    starts=each("read", "write"),
)
NETWORK_BYTES_TOTAL: Final = counter(
    "chasqui_network_bytes_total",
    "Bytes through the interfaces of the process's network namespace (a pod's own), loopback left out.",
    "direction",
    services=ALL,
    starts=each("receive", "transmit"),
)
SPANS_TOTAL: Final = counter(
    "chasqui_spans_total",
    "Recorded spans: `exported` to the OTLP endpoint, or `lost` because that is away or slow; at a gateway that keeps spans also "
    "those that are `kept`, of its own and of what is sent to it, and those `dropped` for want of room or of a database.",
    "outcome",
    starts=each("exported", "lost"),
)
BUILD_INFO: Final = gauge("chasqui_build_info", "1, with the version that runs.", "version", across="sum", services=ALL)
METRICS_SOURCE_FAILURES_TOTAL: Final = counter(
    "chasqui_metrics_source_failures_total",
    "Times that a source of gauges did not answer a scrape within a second; its gauges are missing from it.",
    "source",
    services=ALL,
)

# Gateway
_GATEWAY: Final = ("gateway",)
MESSAGES_ACCEPTED_TOTAL: Final = counter(
    "chasqui_messages_accepted_total",
    "Messages that passed admission and are stored.",
    "tier",
    services=_GATEWAY,
    starts=each(*TIERS),
)
MESSAGES_REJECTED_TOTAL: Final = counter(
    "chasqui_messages_rejected_total",
    "Messages that were turned down, by the code of their first fault.",
    "code",
    services=_GATEWAY,
)
MESSAGE_STATUSES_TOTAL: Final = counter(
    "chasqui_message_statuses_total",
    "Messages that reached a status: told by us (sent, failed, canceled, …) or by the provider (delivered, read, …).",
    "status",
    services=_GATEWAY,
    starts=each(
        "scheduled", "queued", "sending", "unknown", "sent", "canceled", "expired", "suppressed", "failed", "delivered", "read"
    ),
)
WEBHOOKS_RECEIVED_TOTAL: Final = counter(
    "chasqui_webhooks_received_total",
    "Webhooks: `stored`, `spooled` (the database was away), `refused` (not signed as it must be), or `failed` (nothing took it).",
    "outcome",
    services=_GATEWAY,
    starts=each("stored", "spooled", "refused", "failed"),
)
WEBHOOKS_WAITING: Final = gauge(
    "chasqui_webhooks_waiting", "Webhooks stored and not read yet. Counted to 10,000 and no further.", services=_GATEWAY
)
WEBHOOKS_OLDEST_AGE_SECONDS: Final = gauge(
    "chasqui_webhooks_oldest_age_seconds",
    "Age of the oldest webhook that is stored and not read, 0 when there is none.",
    services=_GATEWAY,
)
WEBHOOKS_QUARANTINED: Final = gauge(
    "chasqui_webhooks_quarantined",
    "Webhooks set aside because they cannot be read. Counted to 10,000 and no further.",
    services=_GATEWAY,
)
LIVE_STREAMS: Final = gauge(
    "chasqui_live_streams", "Open streams of events to browsers and other readers.", across="sum", services=_GATEWAY
)
ACTIVE_CLIENTS: Final = gauge(
    "chasqui_active_clients",
    "API keys that this process has seen within five minutes; several processes may see the same.",
    services=_GATEWAY,
)

# Scheduler
_SCHEDULER: Final = ("scheduler",)
HOLDS: Final = gauge(
    "chasqui_holds",
    "Messages held: `scheduled` (not due yet) or `due`, of each tier counted to 10,000; `blocked` (an obstacle), `released` "
    "(outcome awaited) or `unsettled` (outcome unknown), in all tiers together counted to 10,000.",
    "tier",
    "state",
    services=_SCHEDULER,
)
HOLD_OLDEST_DUE_AGE_SECONDS: Final = gauge(
    "chasqui_hold_oldest_due_age_seconds",
    "Queue age: for how long the oldest message has been due that is not released, 0 when there is none.",
    "tier",
    services=_SCHEDULER,
)
RELEASE_LATENESS_SECONDS: Final = histogram(
    "chasqui_release_lateness_seconds",
    "From the moment a message was first due to its release.",
    WAIT,
    "tier",
    services=_SCHEDULER,
    starts=each(*TIERS),
)
MESSAGES_RELEASED_TOTAL: Final = counter(
    "chasqui_messages_released_total",
    "Messages handed to the sender, repetitions too.",
    "tier",
    services=_SCHEDULER,
    starts=each(*TIERS),
)
CAMPAIGNS: Final = gauge("chasqui_campaigns", "Campaigns that are not over, by state.", "state", services=_SCHEDULER)
SCHEDULES_DUE: Final = gauge(
    "chasqui_schedules_due",
    "Schedules whose next occurrence is due and not planned yet. Counted to 10,000 and no further.",
    services=_SCHEDULER,
)

# Sender
_SENDER: Final = ("sender",)
ATTEMPTS_TOTAL: Final = counter(
    "chasqui_attempts_total",
    "Calls to the provider's send API: `sent`, `failed`, `deferred` (they come again) or `unknown`, and the code (empty: sent).",
    "outcome",
    "code",
    services=_SENDER,
    starts=(("sent", ""),),
)
ATTEMPTS_UNMADE_TOTAL: Final = counter(
    "chasqui_attempts_unmade_total",
    "Released messages that were not called for, by code: a limit, a breaker, a pause put them back, or they cannot be sent.",
    "code",
    services=_SENDER,
)
PROVIDER_REQUEST_DURATION_SECONDS: Final = histogram(
    "chasqui_provider_request_duration_seconds",
    "A call to the provider, from its connection being looked for to its answer.",
    REQUEST,
    "provider",
    services=_SENDER,
)
SENDER_MESSAGES: Final = gauge(
    "chasqui_sender_messages",
    "Released messages that this process has in hand: `waiting` for their number's rate, or `in_call`.",
    "tier",
    "state",
    across="sum",
    services=_SENDER,
)
SENDER_OLDEST_UNSENT_AGE_SECONDS: Final = gauge(
    "chasqui_sender_oldest_unsent_age_seconds",
    "For how long the oldest message has been released that this process has in hand and has not sent, 0 when there is none.",
    "tier",
    services=_SENDER,
)
NUMBER_RATE_PER_SECOND: Final = gauge(
    "chasqui_number_rate_per_second",
    "Messages a second that a number may send now. As what follows, of numbers in use within five minutes: of the 500 with most "
    "messages in hand, if there are more.",
    "number_id",
    services=_SENDER,
)
NUMBER_RATE_SHARE: Final = gauge(
    "chasqui_number_rate_share",
    "Of a number's full rate, what it has now: less after the provider throttled it or grew slow.",
    "number_id",
    across="min",
    services=_SENDER,
)
NUMBER_HEADROOM_RATIO: Final = gauge(
    "chasqui_number_headroom_ratio",
    "Of a number's burst, what is free now in the tightest of its limits (rate, calls per hour): 0 means that messages wait.",
    "number_id",
    across="min",
    services=_SENDER,
)
BREAKER_STATE: Final = gauge(
    "chasqui_breaker_state",
    "0 closed, 1 half-open, 2 open, as this process sees it. `breaker` is a number's id, or the address of a provider; of numbers "
    "as above, and of all whose own is not closed.",
    "breaker",
    services=_SENDER,
)
NUMBERS_PAUSED: Final = gauge(
    "chasqui_numbers_paused", "Numbers that do not send, by the code of the reason.", "code", services=_SENDER
)
ATTEMPTS_UNKNOWN: Final = gauge(
    "chasqui_attempts_unknown",
    "Attempts whose outcome is unknown and may still be reported. Counted to 10,000 and no further.",
    services=_SENDER,
)
UNKNOWN_OLDEST_AGE_SECONDS: Final = gauge(
    "chasqui_unknown_oldest_age_seconds",
    "For how long the oldest of them has been unknown, 0 when there is none.",
    services=_SENDER,
)
CALLBACKS_TOTAL: Final = counter(
    "chasqui_callbacks_total",
    "Posts to tenants' own addresses: `delivered`, `retried` (it comes again) or `failed` (given up).",
    "outcome",
    services=_SENDER,
    starts=each("delivered", "retried", "failed"),
)
CALLBACKS_WAITING: Final = gauge(
    "chasqui_callbacks_waiting",
    "Updates that tenants are still to be told. Counted to 10,000, beyond that what the database estimates.",
    services=_SENDER,
)
CALLBACKS_OLDEST_AGE_SECONDS: Final = gauge(
    "chasqui_callbacks_oldest_age_seconds",
    "For how long the oldest update has been due to a tenant whose address is not failing, 0 when there is none.",
    services=_SENDER,
)
CALLBACKS_FAILING: Final = gauge(
    "chasqui_callbacks_failing", "Callbacks that are on and whose last post failed.", services=_SENDER
)

# Archive
_ARCHIVE: Final = ("archive",)
ENTRIES_RECORDED_TOTAL: Final = counter(
    "chasqui_entries_recorded_total",
    "Entries by kind: messages that were `outgoing`, `incoming` or `echoed` (sent from a phone), `imported` ones, and `amendment`s "
    "of entries. What the bus tells twice is counted twice.",
    "kind",
    services=_ARCHIVE,
    starts=each("outgoing", "incoming", "echoed", "imported", "amendment"),
)
RECORD_LAG_SECONDS: Final = histogram(
    "chasqui_record_lag_seconds",
    "From what happened to its being readable in the archive, of each batch's oldest event.",
    WAIT,
    services=_ARCHIVE,
)
IMPORTS: Final = gauge(
    "chasqui_imports",
    "Imports that are not over: `uploading`, `ready` wait for their tenants, `surveying`, `importing`, `undoing` are worked on.",
    "state",
    services=_ARCHIVE,
)
IMPORT_IDLE_SECONDS: Final = gauge(
    "chasqui_import_idle_seconds",
    "For how long the import that has stood still the longest of those worked on has made no progress, 0 when there is none.",
    services=_ARCHIVE,
)
IMPORT_BYTES_TOTAL: Final = counter(
    "chasqui_import_bytes_total",
    "Bytes of exported chats read; each is read by the survey and by the import.",
    services=_ARCHIVE,
)
IMPORTS_ENDED_TOTAL: Final = counter(
    "chasqui_imports_ended_total",
    "Imports that came to an end here, by state.",
    "state",
    services=_ARCHIVE,
    starts=each("completed", "failed", "undone"),
)
SEARCH_DURATION_SECONDS: Final = histogram(
    "chasqui_search_duration_seconds",
    "Searches, by kind: `newest` first, by `relevance`, or `near`, with typing errors allowed; those that failed too.",
    REQUEST,
    "kind",
    services=_ARCHIVE,
    starts=each("newest", "relevance", "near"),
)
FOLLOWER_LAG_SECONDS: Final = gauge(
    "chasqui_follower_lag_seconds",
    "How far what is derived from the entries (the lexicon, statistics, annotations) is behind them, beyond its usual delay.",
    "follower",
    services=_ARCHIVE,
)
EXPORTS: Final = gauge("chasqui_exports", "Exports that are not over: `queued` or `running`.", "state", services=_ARCHIVE)
EXPORT_OLDEST_AGE_SECONDS: Final = gauge(
    "chasqui_export_oldest_age_seconds", "Age of the oldest of them, 0 when there is none.", services=_ARCHIVE
)
EXPORTS_ENDED_TOTAL: Final = counter(
    "chasqui_exports_ended_total",
    "Exports that came to an end here: `completed` or `failed`.",
    "state",
    services=_ARCHIVE,
    starts=each("completed", "failed"),
)

PROCESS: Final = tuple(
    f"process_{name}"
    for name in (
        "cpu_seconds_total",
        "max_fds",
        "open_fds",
        "resident_memory_bytes",
        "start_time_seconds",
        "virtual_memory_bytes",
    )
)
"""What every service exports besides, as prometheus_client's process collector names it."""

METRICS: Final = tuple(value for value in tuple(vars().values()) if isinstance(value, Metric))
