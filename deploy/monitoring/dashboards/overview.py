"""The first look: the four golden signals of every hop."""

from __future__ import annotations

from typing import Final

from deploy.monitoring.panels import Dashboard, Panel, Query, Row, panel, slowest

OVERVIEW: Final = Dashboard(
    "overview",
    "overview",
    (
        Row(
            "The four of the folder",
            (
                panel(
                    "p95 of requests",
                    "chasqui:request_duration_seconds:p95_5m",
                    "{{service}}",
                    unit="s",
                    limits=(0.025, 0.05),
                    meaning="Uploads and downloads left out. The aim of the gateway is 50 ms.",
                ),
                panel("Requests a second", "chasqui:request_rate:rate5m", "{{service}}", unit="reqps", stacked=True),
                panel(
                    "Database pools in use",
                    "chasqui:connection_pool_usage:ratio",
                    "{{service}} {{instance}} {{pool}}",
                    unit="percentunit",
                    limits=(0.7, 0.9),
                ),
                panel("Task queues", "chasqui:bus_queue_messages:max", "{{queue}}", limits=(2_000, 10_000)),
            ),
        ),
        Row(
            "Health",
            (
                panel("Replicas up", 'sum by (service) (up{job="chasqui"})', "{{service}}", kind="stat"),
                panel(
                    "Error budget, pace of an hour",
                    "chasqui:slo_errors:ratio1h / 0.001",
                    kind="stat",
                    limits=(1, 14.4),
                    meaning="1: the budget of 0.1 % lasts for just 30 days. 14.4: for two.",
                ),
                panel(
                    "Alerts that fire",
                    'sum by (alertname, severity) (ALERTS{alertname=~"Chasqui.*", alertstate="firing"})',
                    "{{severity}} {{alertname}}",
                    kind="bargauge",
                ),
                panel(
                    "Circuit breakers",
                    "max by (breaker) (chasqui_breaker_state)",
                    "{{breaker}}",
                    kind="bargauge",
                    limits=(1, 2),
                    meaning="0 closed, 1 half-open, 2 open",
                ),
            ),
        ),
        Row(
            "Latency and errors of each hop",
            (
                Panel("HTTP", slowest("chasqui_http_request_duration_seconds", "service"), "s", "p95"),
                Panel("Events", slowest("chasqui_bus_handler_duration_seconds", "subscription"), "s", "p95, to handle a batch"),
                Panel("Provider", slowest("chasqui_provider_request_duration_seconds", "provider"), "s", "p95"),
                Panel("Database", (Query("chasqui:query_duration_seconds:p95_5m", "{{service}}"),), "s", "p95 of a statement"),
                panel("HTTP errors", "chasqui:error_rate:ratio5m", "{{service}}", unit="percentunit", limits=(0.001, 0.0144)),
                panel(
                    "Events retried or dead",
                    'sum by (subscription, outcome) (rate(chasqui_bus_events_total{outcome!="done"}[5m]))',
                    "{{subscription}} {{outcome}}",
                ),
                panel(
                    "Provider's refusals",
                    'sum by (code) (rate(chasqui_attempts_total{outcome!="sent"}[5m]))',
                    "{{code}}",
                    stacked=True,
                ),
                panel("Slow statements", "sum by (service) (increase(chasqui_db_slow_queries_total[5m]))", "{{service}}"),
            ),
        ),
        Row(
            "Saturation",
            (
                panel("CPU", "chasqui:cpu_usage_percent:avg5m", "{{service}} {{instance}}", unit="percent"),
                panel("Memory", "chasqui:memory_usage_bytes:sum", "{{service}} {{instance}}", unit="bytes"),
                panel("Requests in flight", "sum by (service) (chasqui_http_requests_in_flight)", "{{service}}"),
                panel("Connections", "chasqui:active_connections:sum", "{{service}}"),
            ),
        ),
    ),
)
