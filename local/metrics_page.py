"""docs/metrics.md, made from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.telemetry.catalogue import METRICS, PROCESS
from shared.telemetry.metric import ALL, FOUR, Metric

_BEGIN: Final = """# Metrics

Made from `shared/telemetry/catalogue.py` by `make docs`.

Each service shows its own at `/metrics` of its own port, in Prometheus' text format. With `CHASQUI_TELEMETRY__METRICS_TOKEN` set it
asks for `Authorization: Bearer …`; production needs one at the gateway, whose port is open to the world. A scrape costs a few
statements, which are asked at most every five seconds, each for a second at most: a source that fails leaves its gauges out, and
`chasqui_metrics_source_failures_total` says so. Counters start at 0 with the process.

Of a gauge the third column says how to put together what several replicas show: what all of them read from the same table or queue
is a `max`, never a `sum`. Counters and histograms are summed up, as rates.
"""

_BY: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("Every service", ALL),
    ("Services with a database and the bus", FOUR),
)

ELSEWHERE: Final = (
    ("`app_requests_total{method,endpoint}`", "`chasqui_http_requests_total{method,route,status}`"),
    ("`app_request_duration_seconds`, `request_duration_seconds`", "`chasqui_http_request_duration_seconds{method,route}`"),
    ("`request_rate`", "`sum(rate(chasqui_http_requests_total[5m]))`"),
    (
        "`error_rate`",
        '`sum(rate(chasqui_http_requests_total{status=~"5.."}[5m])) / sum(rate(chasqui_http_requests_total[5m]))`',
    ),
    ("`active_connections`", "`chasqui_http_connections`"),
    ("`app_active_users`", "`chasqui_active_clients`, `chasqui_live_streams`"),
    (
        "`celery_active_tasks`",
        '`chasqui_sender_messages{state="in_call"}`; of queues `chasqui_bus_queue_messages`, `rate(chasqui_bus_events_total[5m])`',
    ),
    ("`database_pool_connections`", "`chasqui_db_pool_connections{pool,state}`"),
    (
        "`connection_pool_usage`",
        '`chasqui_db_pool_connections{state="in_use"} / on (instance, pool) chasqui_db_pool_connections{state="max"}`',
    ),
    ("`query_duration_seconds`", "`chasqui_db_query_duration_seconds{pool}`"),
    ("`slow_query_count`", "`chasqui_db_slow_queries_total{pool}`"),
    (
        "`cache_hit_ratio`",
        '`sum(rate(chasqui_cache_reads_total{result="hit"}[5m])) / sum(rate(chasqui_cache_reads_total[5m]))`',
    ),
    ("`cpu_usage_percent`", "`100 * rate(process_cpu_seconds_total[5m])`, of one core"),
    ("`memory_usage_bytes`", "`process_resident_memory_bytes`"),
    ("`disk_io_bytes`", "`chasqui_process_io_bytes_total{direction}`"),
    ("`network_throughput_bytes`", "`chasqui_network_bytes_total{direction}`"),
)
"""Names that dashboards made for other systems ask for."""


def metrics_page() -> str:
    """The whole page."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield _BEGIN
    for title, services in _BY:
        yield from _section(title, [metric for metric in METRICS if metric.services == services])
        if services == ALL:
            yield f"Besides, of Python's own client: {', '.join(f'`{name}`' for name in PROCESS)}.\n"
    for service in FOUR:
        yield from _section(service.capitalize(), [metric for metric in METRICS if metric.services == (service,)])
    said = {*(services for _, services in _BY), *((service,) for service in FOUR)}
    yield from _section("Several services", [metric for metric in METRICS if metric.services not in said], with_services=True)
    yield "## Under other names\n"
    yield "| Name | Here |"
    yield "| --- | --- |"
    for name, ours in ELSEWHERE:
        yield f"| {name} | {ours} |"
    yield ""


def _section(title: str, metrics: list[Metric], *, with_services: bool = False) -> Iterator[str]:
    if not metrics:
        return
    yield f"## {title}\n"
    yield "| Metric | Kind | Replicas | Meaning |"
    yield "| --- | --- | --- | --- |"
    for metric in metrics:
        labels = f"{{{','.join(metric.labels)}}}" if metric.labels else ""
        where = f" Of {', '.join(metric.services)}." if with_services else ""
        replicas = metric.across if metric.kind == "gauge" else ""
        yield f"| `{metric.name}{labels}` | {metric.kind} | {replicas} | {metric.meaning}{where} |"
    yield ""
