"""What each service exports while the platform works: all that the catalogue promises, with values that are true."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from local.home import HOST
from shared.telemetry.catalogue import METRICS, PROCESS
from shared.telemetry.metric import ALL
from tests.support.assembly import Assembly, assembled
from tests.support.database import Database
from tests.support.platform import until

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]

STATUSES: Final = ("sent", "delivered", "read")
SELDOM: Final = {
    "sender": {"chasqui_numbers_paused", "chasqui_attempts_unmade_total"},
    "archive": {"chasqui_bus_published_total"},
}
"""What has no series before something that this journey does not do: their labels are not known beforehand."""


@pytest.fixture
async def assembly(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Assembly]:
    async with assembled(database, redis_url, tmp_path / "journal") as assembly:
        yield assembly


async def scrape(assembly: Assembly, service: str) -> Samples:
    url = f"http://{HOST}:{assembly.ports[service]}/metrics"
    async with aiohttp.ClientSession(trust_env=False) as session, session.get(url) as response:
        assert response.status == 200
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        page = await response.text()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples[name, frozenset(labels.items())]


async def test_every_service_exports_what_the_catalogue_promises(assembly: Assembly) -> None:
    async with assembly.api() as api:
        await api.until_status(await api.send(to="+15551234567"), "read")
        status, _ = await api.call("POST", "/api/messages", {"to": "nobody"})
        assert status == 422
        for path in ("/api/schedules", "/api/callbacks", "/api/search?q=hello"):
            await api.get(path)
    missing = {}
    for service in ALL:
        names = {name for name, _ in await scrape(assembly, service)}
        promised = {
            f"{metric.name}_count" if metric.kind == "histogram" else metric.name
            for metric in METRICS
            if service in metric.services
        }
        missing[service] = (promised | set(PROCESS)) - names
    assert missing == {service: SELDOM.get(service, set()) for service in ALL}


async def test_one_message_is_counted_at_every_hop(assembly: Assembly, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.metrics.KEPT_SECONDS", 0)
    monkeypatch.setattr("shared.telemetry.metrics.SOURCE_SECONDS", 30)  # none fails, however busy the machine is
    async with assembly.api() as api:
        message_id = await api.send(to="+15551234567", priority="high")
        await api.until_status(message_id, "read")
        code, _ = await api.call("POST", "/api/messages", {"to": "nobody", "text": {"body": "x"}})
        assert code == 422

    async def settled() -> tuple[Samples, Samples, Samples] | None:
        """All hops are done when each has had its part and no outbox has anything left."""
        gateway, scheduler, archive = pages = [await scrape(assembly, name) for name in ("gateway", "scheduler", "archive")]
        told = all(("chasqui_message_statuses_total", frozenset({("status", status)})) in gateway for status in STATUSES)
        ended = of(scheduler, "chasqui_bus_events_total", subscription="scheduler.settle", outcome="done")
        recorded = of(archive, "chasqui_bus_events_total", subscription="archive.record", outcome="done")
        left = sum(of(page, "chasqui_outbox_rows") for page in pages)
        return (gateway, scheduler, archive) if told and ended and recorded >= len(STATUSES) and not left else None

    gateway, scheduler, archive = await until(settled, "every hop to have counted it")
    assert of(gateway, "chasqui_messages_accepted_total", tier="high") == 1
    assert of(gateway, "chasqui_messages_accepted_total", tier="normal") == 0
    assert of(gateway, "chasqui_messages_rejected_total", code="phone.invalid") == 1
    for status in STATUSES:
        assert of(gateway, "chasqui_message_statuses_total", status=status) == 1
    assert of(gateway, "chasqui_http_requests_total", method="POST", route="/api/messages", status="202") == 1
    assert of(gateway, "chasqui_http_requests_total", method="POST", route="/api/messages", status="422") == 1
    assert of(gateway, "chasqui_http_request_duration_seconds_count", method="POST", route="/api/messages") == 2
    assert of(gateway, "chasqui_webhooks_received_total", outcome="stored") >= 1
    assert of(gateway, "chasqui_webhooks_quarantined") == 0
    assert of(gateway, "chasqui_active_clients") == 1
    assert of(gateway, "chasqui_bus_published_total", subject="message.accepted.v1") == 1
    assert of(scheduler, "chasqui_bus_events_total", subscription="scheduler.hold", outcome="done") == 1
    assert of(scheduler, "chasqui_bus_event_age_seconds_count", subscription="scheduler.hold") == 1
    assert of(scheduler, "chasqui_messages_released_total", tier="high") == 1
    assert of(scheduler, "chasqui_release_lateness_seconds_count", tier="high") == 1
    assert of(scheduler, "chasqui_release_lateness_seconds_sum", tier="high") < 10
    assert of(scheduler, "chasqui_hold_oldest_due_age_seconds", tier="high") == 0
    for samples in (gateway, scheduler, archive):
        assert of(samples, "chasqui_db_query_duration_seconds_count", pool="main") > 0
        assert of(samples, "chasqui_db_pool_connections", pool="main", state="max") >= 1
        assert of(samples, "chasqui_event_loop_lag_seconds_count") > 0
        assert not [value for (name, _), value in samples.items() if name.endswith("source_failures_total") and value]


async def test_nothing_that_is_scraped_or_probed_is_counted(assembly: Assembly) -> None:
    await scrape(assembly, "scheduler")
    samples = await scrape(assembly, "scheduler")
    assert not [labels for name, labels in samples if name == "chasqui_http_requests_total"]
