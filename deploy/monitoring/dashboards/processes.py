"""The processes themselves."""

from __future__ import annotations

from typing import Final

from deploy.monitoring.panels import Dashboard, Panel, Row, panel, quantiles

RUNTIME: Final = Dashboard(
    "runtime",
    "processes",
    (
        Row(
            "Processes",
            (
                panel("CPU", "chasqui:cpu_usage_percent:avg5m", "{{service}} {{instance}}", unit="percent"),
                panel("Memory", "chasqui:memory_usage_bytes:sum", "{{service}} {{instance}}", unit="bytes"),
                panel(
                    "Open files",
                    'process_open_fds{job="chasqui"} / process_max_fds{job="chasqui"}',
                    "{{service}} {{instance}}",
                    unit="percentunit",
                ),
                panel(
                    "Up for",
                    'time() - process_start_time_seconds{job="chasqui"}',
                    "{{service}} {{instance}}",
                    unit="s",
                    kind="stat",
                ),
            ),
        ),
        Row(
            "Event loops",
            (
                Panel(
                    "Lag",
                    (quantiles("chasqui_event_loop_lag_seconds", "service")[2],),
                    "s",
                    "p99: what everything waits for",
                    limits=(0.05, 0.25),
                ),
                panel("Versions", "count by (service, version) (chasqui_build_info)", "{{service}} {{version}}", kind="stat"),
                panel(
                    "Sources that did not answer",
                    "sum by (service, source) (increase(chasqui_metrics_source_failures_total[5m]))",
                    "{{service}} {{source}}",
                ),
            ),
        ),
        Row(
            "Bytes",
            (
                panel("Disk", "chasqui:disk_io_bytes:rate5m", "{{service}} {{direction}}", unit="Bps"),
                panel("Network", "chasqui:network_throughput_bytes:rate5m", "{{service}} {{direction}}", unit="Bps"),
            ),
        ),
        Row(
            "Clients",
            (
                panel("Streams of events", "sum(chasqui_live_streams)", "streams"),
                panel("API keys of the last five minutes", "chasqui:active_users:max", "keys"),
            ),
        ),
    ),
)
