"""What is counted stands on the page, in Prometheus' own words."""

from __future__ import annotations

import asyncio
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs

from services.gateway.domain.status import Status
from shared.events.values import Tier
from shared.telemetry import catalogue
from shared.telemetry.catalogue import (
    BUILD_INFO,
    BUS_HANDLER_DURATION_SECONDS,
    BUS_QUEUE_MESSAGES,
    CALLBACKS_WAITING,
    DB_POOL_CONNECTIONS,
    HTTP_REQUESTS_TOTAL,
    IMPORT_BYTES_TOTAL,
    MESSAGE_STATUSES_TOTAL,
    METRICS,
    METRICS_SOURCE_FAILURES_TOTAL,
    OUTBOX_ROWS,
    PROCESS,
    RELEASE_LATENESS_SECONDS,
    TIERS,
)
from shared.telemetry.metric import ALL, Metric
from shared.telemetry.metrics import MOST_SERIES, Metrics, Reading
from shared.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[3]


async def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The page, parsed: values by name and labels."""
    page = (await metrics.text()).decode()
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def labelled(metric: Metric, *labels: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    return metric.name, tuple(sorted(zip(metric.labels, labels, strict=True)))


async def test_counters_add_up_and_gauges_say_what_was_said_last() -> None:
    metrics = Metrics("gateway")
    metrics.count(HTTP_REQUESTS_TOTAL, "GET", "/api/messages", "200")
    metrics.count(HTTP_REQUESTS_TOTAL, "GET", "/api/messages", "200", by=4)
    metrics.count(HTTP_REQUESTS_TOTAL, "GET", "/api/messages", "404", by=0)
    metrics.set(BUS_QUEUE_MESSAGES, 7, "a")
    metrics.set(BUS_QUEUE_MESSAGES, 3, "a")
    found = await samples(metrics)
    assert found[labelled(HTTP_REQUESTS_TOTAL, "GET", "/api/messages", "200")] == 5
    assert found[labelled(HTTP_REQUESTS_TOTAL, "GET", "/api/messages", "404")] == 0
    assert found[labelled(BUS_QUEUE_MESSAGES, "a")] == 3
    assert found[labelled(BUILD_INFO, VERSION)] == 1


async def test_a_histogram_sums_its_buckets_up_and_a_bound_belongs_to_its_bucket() -> None:
    metrics = Metrics("gateway")
    for seconds in (0.005, 0.006, 31.0):
        metrics.observe(BUS_HANDLER_DURATION_SECONDS, seconds, "a")
    metrics.observe(BUS_HANDLER_DURATION_SECONDS, 0.4, "a", times=10)
    found = await samples(metrics)

    def bucket(bound: str) -> float:
        return found[f"{BUS_HANDLER_DURATION_SECONDS.name}_bucket", (("le", bound), ("subscription", "a"))]

    assert [bucket("0.005"), bucket("0.01"), bucket("0.5"), bucket("30.0"), bucket("+Inf")] == [1, 2, 12, 12, 13]
    of = (("subscription", "a"),)
    assert found[f"{BUS_HANDLER_DURATION_SECONDS.name}_count", of] == 13
    assert found[f"{BUS_HANDLER_DURATION_SECONDS.name}_sum", of] == pytest.approx(35.011)


async def test_what_may_happen_is_there_at_zero_before_it_happens() -> None:
    found = await samples(Metrics("scheduler"))
    for tier in ("critical", "high", "normal", "low"):
        assert found[f"{RELEASE_LATENESS_SECONDS.name}_count", (("tier", tier),)] == 0
    assert {name for name, _ in found} >= set(PROCESS)
    assert (await samples(Metrics("archive")))[IMPORT_BYTES_TOTAL.name, ()] == 0


def test_every_status_and_tier_is_there_before_it_happens() -> None:
    assert {status for (status,) in MESSAGE_STATUSES_TOTAL.starts} == set(Status) - {Status.ACCEPTED}
    assert [tier.name.lower() for tier in Tier] == list(TIERS)


async def test_each_service_has_its_own_metrics_and_no_others() -> None:
    gateway, sender = Metrics("gateway"), Metrics("sender")
    gateway.count(HTTP_REQUESTS_TOTAL, "GET", "/", "200")
    assert labelled(HTTP_REQUESTS_TOTAL, "GET", "/", "200") not in await samples(sender)
    with pytest.raises(KeyError):
        gateway.set(CALLBACKS_WAITING, 1)
    with pytest.raises(ValueError, match="no service"):
        Metrics("somebody")


@pytest.mark.parametrize("labels", [(), ("GET", "/"), ("GET", "/", "200", "more")])
def test_a_wrong_number_of_labels_is_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="has the labels"):
        Metrics("gateway").count(HTTP_REQUESTS_TOTAL, *labels)


async def test_labels_that_grow_end_in_one_series() -> None:
    metrics = Metrics("gateway")
    for number in range(MOST_SERIES + 50):
        metrics.count(HTTP_REQUESTS_TOTAL, "GET", f"/{number}", "200")
        metrics.observe(BUS_HANDLER_DURATION_SECONDS, 1, f"{number}")
    found = await samples(metrics)
    assert found[labelled(HTTP_REQUESTS_TOTAL, "other", "other", "other")] == 50
    assert found[f"{BUS_HANDLER_DURATION_SECONDS.name}_count", (("subscription", "other"),)] == 50
    assert found[labelled(HTTP_REQUESTS_TOTAL, "GET", "/0", "200")] == 1


async def test_a_source_is_asked_at_a_scrape_and_its_answer_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.metrics.KEPT_SECONDS", 3_600)
    metrics = Metrics("gateway")
    asked = 0

    async def read() -> Iterable[Reading]:
        nonlocal asked
        asked += 1
        return [Reading(OUTBOX_ROWS, asked)]

    metrics.source("outbox", read)
    assert asked == 0
    first = await asyncio.gather(*(samples(metrics) for _ in range(3)))
    assert [found[OUTBOX_ROWS.name, ()] for found in first] == [1, 1, 1]
    monkeypatch.setattr("shared.telemetry.metrics.KEPT_SECONDS", 0)
    assert (await samples(metrics))[OUTBOX_ROWS.name, ()] == 2


async def test_a_source_may_say_what_a_counter_has_come_to() -> None:
    metrics = Metrics("archive")

    async def read() -> Iterable[Reading]:
        return [Reading(IMPORT_BYTES_TOTAL, 17)]

    metrics.source("imports", read)
    assert (await samples(metrics))[IMPORT_BYTES_TOTAL.name, ()] == 17


async def test_sources_that_fail_or_are_slow_are_missing_from_the_page_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.telemetry.metrics.SOURCE_SECONDS", 0.5)
    monkeypatch.setattr("shared.telemetry.metrics.KEPT_SECONDS", 0)
    metrics = Metrics("gateway")
    is_away = True

    async def away() -> Iterable[Reading]:
        if is_away:
            raise ConnectionRefusedError("s3cr3t host")
        return [Reading(OUTBOX_ROWS, 1)]

    async def slow() -> Iterable[Reading]:
        await asyncio.Event().wait()
        return [Reading(BUS_QUEUE_MESSAGES, 1, ("a",))]

    async def good() -> Iterable[Reading]:
        return [Reading(DB_POOL_CONNECTIONS, 5, ("main", "idle"))]

    for name, read in (("away", away), ("slow", slow), ("good", good)):
        metrics.source(name, read)
    with capture_logs() as logged:
        found = await samples(metrics)
        await samples(metrics)
        is_away = False
        last = await samples(metrics)
    assert found[labelled(DB_POOL_CONNECTIONS, "main", "idle")] == 5
    assert (OUTBOX_ROWS.name, ()) not in found
    assert labelled(BUS_QUEUE_MESSAGES, "a") not in found
    failures = {name: last[labelled(METRICS_SOURCE_FAILURES_TOTAL, name)] for name in ("away", "slow", "good")}
    assert failures == {"away": 2, "slow": 3, "good": 0}
    assert last[OUTBOX_ROWS.name, ()] == 1
    # Said when it begins and when it ends, not at each scrape; and never what the failure said.
    assert sorted((entry["event"], entry["source"]) for entry in logged) == [
        ("metrics.source_back", "away"),
        ("metrics.source_failed", "away"),
        ("metrics.source_failed", "slow"),
    ]
    assert "s3cr3t" not in str(logged)


async def test_a_page_does_not_wait_for_a_source_that_cannot_be_cancelled_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that gives a connection back to a server that hangs."""
    monkeypatch.setattr("shared.telemetry.metrics.SOURCE_SECONDS", 0.2)
    monkeypatch.setattr("shared.telemetry.metrics.KEPT_SECONDS", 0)
    metrics = Metrics("gateway")
    answers = asyncio.Event()
    asked = 0

    async def hanging() -> Iterable[Reading]:
        nonlocal asked
        asked += 1
        try:
            if asked == 1:
                await asyncio.Event().wait()
        finally:
            await answers.wait()
        return [Reading(OUTBOX_ROWS, asked)]

    metrics.source("hanging", hanging)
    async with asyncio.timeout(60):
        for failures in (0, 1, 2):
            found = await samples(metrics)
            assert (OUTBOX_ROWS.name, ()) not in found
            assert found[labelled(METRICS_SOURCE_FAILURES_TOTAL, "hanging")] == failures
    assert asked == 1  # never twice at once
    answers.set()
    await metrics.text()
    found = await samples(metrics)
    assert found[OUTBOX_ROWS.name, ()] == asked == 2


async def test_whoever_scrapes_and_leaves_does_not_disturb_another() -> None:
    metrics = Metrics("gateway")
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def read() -> Iterable[Reading]:
        asked.set()
        await may_answer.wait()
        return [Reading(OUTBOX_ROWS, 7)]

    metrics.source("outbox", read)
    async with asyncio.TaskGroup() as group:
        leaving = group.create_task(metrics.text())
        await asked.wait()
        staying = group.create_task(samples(metrics))
        leaving.cancel()
        may_answer.set()
    assert leaving.cancelled()
    assert staying.result()[OUTBOX_ROWS.name, ()] == 7


@pytest.mark.parametrize(
    "wrong", [Reading(CALLBACKS_WAITING, 1), Reading(BUS_QUEUE_MESSAGES, 1), Reading(OUTBOX_ROWS, 1, ("a",))], ids=str
)
async def test_a_source_that_says_what_there_is_not_has_failed(wrong: Reading) -> None:
    metrics = Metrics("gateway")

    async def read() -> Iterable[Reading]:
        return [wrong]

    metrics.source("wrong", read)
    found = await samples(metrics)
    assert found[labelled(METRICS_SOURCE_FAILURES_TOTAL, "wrong")] == 1
    assert not [name for name, _ in found if name == wrong.metric.name]


async def test_what_a_source_says_beyond_measure_is_left_out() -> None:
    metrics = Metrics("gateway")

    async def read() -> Iterable[Reading]:
        return [Reading(BUS_QUEUE_MESSAGES, 1, (f"{number}",)) for number in range(MOST_SERIES + 50)]

    metrics.source("queues", read)
    assert len([name for name, _ in await samples(metrics) if name == BUS_QUEUE_MESSAGES.name]) == MOST_SERIES


async def test_two_sources_of_one_name_are_a_mistake() -> None:
    metrics = Metrics("gateway")

    async def read() -> Iterable[Reading]:
        return []

    metrics.source("outbox", read)
    with pytest.raises(ValueError, match="two sources"):
        metrics.source("outbox", read)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_the_catalogue_is_well_formed(metric: Metric) -> None:
    assert re.fullmatch(r"chasqui(_[a-z]+)+", metric.name)
    assert getattr(catalogue, metric.name.removeprefix("chasqui_").upper()) is metric
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    if metric.kind == "histogram":
        assert metric.name.endswith("_seconds")
    assert metric.meaning.endswith(".")
    assert set(metric.services) <= set(ALL)
    assert metric.services
    assert all(len(start) == len(metric.labels) for start in metric.starts)
    assert not {"tenant_id", "contact", "message_id", "to", "le", "quantile", "job", "instance"} & set(metric.labels)


def test_rules_dashboards_and_scaling_put_replicas_together_as_the_catalogue_says() -> None:
    gauges = {metric.name: metric.across for metric in METRICS if metric.kind == "gauge"}
    together = re.compile(r"\b(sum|max|min|avg) *(?:(?:by|without) *\([^)]*\))? *\( *(chasqui_\w+)")
    found = [
        (path.name, how, name)
        for path in (ROOT / "deploy").rglob("*")
        if path.suffix in {".yml", ".yaml", ".json"}
        for how, name in together.findall(path.read_text())
        if name in gauges
    ]
    assert len(found) > 20
    assert [wrong for wrong in found if wrong[1] != gauges[wrong[2]]] == []


def test_no_name_is_declared_twice() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names)) > 60


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["version"] == VERSION
