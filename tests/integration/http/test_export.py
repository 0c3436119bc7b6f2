"""Spans on their way to a collector: told at the latest at the end, and never in anybody's way."""

from __future__ import annotations

import asyncio
import io
import logging
import socket
import threading
import time
from collections.abc import Iterator

import orjson
import pytest
import structlog

from shared.config import TelemetrySettings
from shared.telemetry.logging import setup_logging
from shared.telemetry.otlp import BATCH, MAX_WAITING
from shared.telemetry.tracing import FLUSH_SECONDS, Tracing
from tests.support.collector import collecting
from tests.support.platform import until

MANY = 2 * MAX_WAITING
TRIES = "OTEL_EXPORTER_OTLP_TIMEOUT"
"""Seconds for a batch with all its tries."""


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    setup_logging("info", stream)
    try:
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.reset_defaults()


def work(tracing: Tracing, how_much: int = 1) -> None:
    for _ in range(how_much):
        with tracing.span("deliver", kind="client", attributes={"attempt": 1, "body": "hello"}) as span:
            span.set(message_id="msg_06a8rbtg9t7a7c0vq5f1r2c3d4", tenant_id="tnt_06a8rbtg9t7a7c0vq5f1r2c3d4")


async def test_spans_reach_the_collector_at_the_latest_on_close() -> None:
    async with collecting() as collector:
        settings = TelemetrySettings(otlp_endpoint=f"{collector.url}/", otlp_headers="x-key=of%20mine")  # type: ignore[arg-type]  # as from the environment
        tracing = Tracing("sender", settings)
        work(tracing)
        await asyncio.to_thread(tracing.close)
        await asyncio.to_thread(tracing.close)

    (span,) = collector.spans
    assert (span.name, span.kind, span.service) == ("deliver", "client", "sender")
    assert set(span.attributes) == {"attempt", "message_id", "tenant_id"}
    assert {"service.namespace", "service.version", "service.instance.id", "host.name"} < set(span.resource)
    assert collector.headers[0]["x-key"] == "of mine"
    assert collector.headers[0]["content-type"] == "application/x-protobuf"


async def test_the_sdks_settings_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    async with collecting() as collector:
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=collector.url))
        work(tracing)
        await asyncio.to_thread(tracing.close)

    assert len(collector.spans) == 1
    assert collector.headers[0]["content-encoding"] == "gzip"


async def test_spans_leave_without_waiting_for_the_end() -> None:
    async with collecting() as collector:
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=collector.url))
        work(tracing)
        await until(lambda: tracing.exported == 1, "the span to be told")
        work(tracing, 5_000)
        await until(lambda: tracing.exported == 5_001, "the others to be told")
        await asyncio.to_thread(tracing.close)

    assert len(collector.spans) == len({span.span_id for span in collector.spans}) == 5_001
    assert tracing.lost == 0


async def test_a_collector_that_is_slow_costs_spans_and_nothing_else() -> None:
    async with collecting(is_slow=True) as collector:
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=collector.url))
        work(tracing, MANY)
        assert MANY - MAX_WAITING <= tracing.lost < MANY
        collector.released.set()
        await until(lambda: tracing.exported + tracing.lost == MANY, "what waited to be told")
        await asyncio.to_thread(tracing.close)


@pytest.mark.parametrize(("first", "tries"), [(503, 2), (429, 2), (400, 1), (404, 1)])
async def test_what_a_collector_refuses_is_tried_again_where_that_may_help(first: int, tries: int) -> None:
    async with collecting() as collector:
        collector.status = lambda request: first if request == 1 else 200
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=collector.url))
        work(tracing)
        await until(lambda: tracing.exported + tracing.lost == 1, "the end of the tries")
        assert collector.requests == tries
        assert (tracing.exported, tracing.lost) == ((1, 0) if tries > 1 else (0, 1))
        work(tracing)
        await until(lambda: tracing.exported + tracing.lost == 2, "the next one")
        assert tracing.exported == tries
        await asyncio.to_thread(tracing.close)


async def test_a_collector_that_comes_back_gets_what_is_recorded_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRIES, "0.5")  # less than a pause: the first try is the only one
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}"))
    work(tracing)
    await until(lambda: tracing.lost == 1, "the first to be given up")
    async with collecting(port=port) as collector:
        work(tracing)
        await until(lambda: tracing.exported == 1, "the second to be told")
        await asyncio.to_thread(tracing.close)
    assert len(collector.spans) == 1


async def test_a_collector_that_is_away_for_a_moment_misses_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{port}"))
        work(tracing)
        tried, _ = await asyncio.to_thread(taken.accept)
        tried.close()
    async with collecting(port=port) as collector:
        await until(lambda: tracing.exported == 1, "another try")
        await asyncio.to_thread(tracing.close)
    assert len(collector.spans) == 1


async def test_a_collector_that_hangs_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TRIES, "5")
    others = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}"))
        work(tracing, 5_000)
        ours = set(threading.enumerate()) - others
        assert ours
        begun = time.monotonic()
        await asyncio.to_thread(tracing.close)

        assert time.monotonic() - begun < FLUSH_SECONDS, "it gave up before its time"
        await until(lambda: not any(thread.is_alive() for thread in ours), "what it had begun to end by itself")
    assert tracing.lost == 5_000


async def test_the_log_says_what_is_lost_and_says_it_once(lines: io.StringIO) -> None:
    async with collecting() as collector:
        collector.status = lambda _: 400
        tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=collector.url))
        work(tracing, 5 * BATCH)
        await until(lambda: tracing.lost == 5 * BATCH, "all to be refused")
        await asyncio.to_thread(tracing.close)

    assert collector.requests == 5
    told = [orjson.loads(line) for line in lines.getvalue().splitlines()]
    assert [(line["event"], line["level"]) for line in told] == [("spans.lost", "warning")]


async def test_a_collector_that_has_ended_does_not_hold_up_the_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        url = f"http://127.0.0.1:{gone.getsockname()[1]}"
    tracing = Tracing("sender", TelemetrySettings(otlp_endpoint=url))
    work(tracing, 5_000)
    begun = time.monotonic()
    await asyncio.to_thread(tracing.close)
    assert time.monotonic() - begun < FLUSH_SECONDS, "it gave up before its time"
