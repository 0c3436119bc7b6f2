"""What remembers: PostgreSQL, Redis, the outbox, the archive."""

from __future__ import annotations

from typing import Final

from deploy.monitoring.panels import Dashboard, Panel, Row, panel, quantiles, slowest

DATA: Final = Dashboard(
    "data",
    "database and caches",
    (
        Row(
            "Pools",
            (
                panel(
                    "In use",
                    "chasqui:connection_pool_usage:ratio",
                    "{{service}} {{instance}} {{pool}}",
                    unit="percentunit",
                    limits=(0.7, 0.9),
                ),
                panel(
                    "Connections",
                    "sum by (service, pool, state) (chasqui_db_pool_connections)",
                    "{{service}} {{pool}} {{state}}",
                ),
            ),
        ),
        Row(
            "Statements",
            (
                panel(
                    "A second",
                    "sum by (service, pool) (rate(chasqui_db_query_duration_seconds_count[5m]))",
                    "{{service}} {{pool}}",
                ),
                panel("On average", "chasqui:query_duration_seconds:avg5m", "{{service}}", unit="s", limits=(0.02, 0.05)),
                panel("p95", "chasqui:query_duration_seconds:p95_5m", "{{service}}", unit="s"),
                panel("Slow, of a day", "chasqui:slow_query_count:increase24h", "{{service}}", kind="stat"),
            ),
        ),
        Row(
            "Caches",
            (
                panel(
                    "Hits",
                    "chasqui:cache_hit_ratio:ratio15m",
                    "{{service}} {{cache}}",
                    unit="percentunit",
                    meaning="The aim is more than 90 %.",
                ),
                panel(
                    "Reads",
                    "sum by (cache, result) (rate(chasqui_cache_reads_total[5m]))",
                    "{{cache}} {{result}}",
                    stacked=True,
                ),
                panel("Redis away", 'sum by (service) (rate(chasqui_cache_reads_total{result="away"}[5m]))', "{{service}}"),
            ),
        ),
        Row(
            "Outbox",
            (
                panel("Batches", "max by (service) (chasqui_outbox_rows)", "{{service}}"),
                panel(
                    "Oldest", "max by (service) (chasqui_outbox_oldest_age_seconds)", "{{service}}", unit="s", limits=(5, 30)
                ),
                panel(
                    "Not taken by the bus",
                    "sum by (service, reason) (rate(chasqui_bus_publish_failures_total[5m]))",
                    "{{service}} {{reason}}",
                ),
            ),
        ),
    ),
)

ARCHIVE: Final = Dashboard(
    "archive",
    "archive",
    (
        Row(
            "Recording",
            (
                panel("Entries", "sum by (kind) (rate(chasqui_entries_recorded_total[5m]))", "{{kind}}", stacked=True),
                Panel("Lag", quantiles("chasqui_record_lag_seconds", ""), "s", limits=(10, 60)),
                panel(
                    "Followers", "max by (follower) (chasqui_follower_lag_seconds)", "{{follower}}", unit="s", limits=(30, 120)
                ),
            ),
        ),
        Row(
            "Searching and reading",
            (
                Panel("Searches", slowest("chasqui_search_duration_seconds", "kind"), "s", "p95", limits=(0.1, 0.25)),
                panel("Searches a second", "sum by (kind) (rate(chasqui_search_duration_seconds_count[5m]))", "{{kind}}"),
                Panel("Requests", quantiles("chasqui_http_request_duration_seconds", "", '{service="archive"}'), "s"),
            ),
        ),
        Row(
            "Imports and exports",
            (
                panel("Imports", "max by (state) (chasqui_imports)", "{{state}}"),
                panel("Read", "sum(rate(chasqui_import_bytes_total[5m]))", "exported chats", unit="Bps"),
                panel("Exports", "max by (state) (chasqui_exports)", "{{state}}"),
            ),
        ),
    ),
)
