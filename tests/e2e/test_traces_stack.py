"""The trace of one message as one tree, over a real RabbitMQ, by a process per service, told to a collector as OTLP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Final

import pytest
import pytest_asyncio

from tests.support.collector import Collector, Seen, collecting, tree_of
from tests.support.platform import Platform, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

WAY: Final = [
    # span, its service, its kind, the span it hangs on
    ("POST /api/messages", "gateway", "server", None),  # accept
    ("process scheduler.hold", "scheduler", "consumer", "POST /api/messages"),  # hold
    ("release", "scheduler", "producer", "process scheduler.hold"),
    ("process sender.deliver", "sender", "consumer", "release"),
    ("attempt", "sender", "internal", "process sender.deliver"),
    ("POST messages", "sender", "client", "attempt"),  # provider
    ("POST /{phone_number_id}/messages", "sandbox", "server", "POST messages"),
    ("webhook status", "gateway", "server", "POST /api/messages"),  # webhook
    ("process archive.record", "archive", "consumer", "webhook status"),  # archive
]
"""At least one of each hangs there."""
RECORDED: Final = {"X-Chasqui-Trace": "record"}
REFUSED: Final = "+19995550004"
"""The sandbox turns down what is sent to it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def collector() -> AsyncIterator[Collector]:
    async with collecting() as collector:
        yield collector


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory, collector: Collector) -> AsyncIterator[Platform]:
    """Nothing is recorded unless somebody asks for it, or it fails."""
    settings = {
        "CHASQUI_TELEMETRY__OTLP_ENDPOINT": collector.url,
        "CHASQUI_TELEMETRY__OTLP_HEADERS": "authorization=Bearer%20of-the-test",
        "CHASQUI_TELEMETRY__SAMPLE_RATIO": "0",
        "CHASQUI_GATEWAY__KEEP_SPANS": "0",
    }
    platform = Platform(Path(tmp_path_factory.mktemp("traced")), "stack", settings)
    try:
        await platform.start()
        await platform.until_ready()
        yield platform
    finally:
        platform.end()


async def test_one_message_is_one_tree_over_all_processes(stack: Platform, collector: Collector) -> None:
    async with stack.api() as api:
        body = {"to": "+15551234567", "text": {"body": "hello"}}
        status, accepted = await api.call("POST", "/api/messages", body, **RECORDED)
        assert status == 202
        message = await api.until_status(accepted["id"], "read")
    trace_id = message["trace_id"]

    def complete() -> bool:
        spans = collector.of_trace(trace_id)
        known = {span.span_id for span in spans}
        ended = all(not span.parent_id or span.parent_id in known for span in spans)
        return not missing(spans) and ended and sum(span.name == "webhook status" for span in spans) == 2

    try:
        await until(complete, "the trace to be complete")
    except AssertionError as error:
        spans = collector.of_trace(trace_id)
        raise AssertionError(f"{error}; missing: {missing(spans)}\n{tree_of(spans)}") from None
    spans = collector.of_trace(trace_id)
    by_id = {span.span_id: span for span in spans}
    assert len(by_id) == len(spans), "each span is told once"
    assert [span.name for span in spans if not span.parent_id] == ["POST /api/messages"], tree_of(spans)
    assert all(not span.parent_id or span.parent_id in by_id for span in spans), tree_of(spans)
    assert len({span.resource["service.instance.id"] for span in spans}) == 5, "a process for each service, and the sandbox"
    assert not any(span.is_failed for span in spans)
    assert {span.attributes.get("message_id") for span in spans} - {None} == {accepted["id"]}
    (call,) = [span for span in spans if span.name == "POST messages"]
    assert call.attributes["http.response.status_code"] == 200
    assert call.attributes["server.port"] == int(stack.ports["CHASQUI_SANDBOX__PORT"])
    assert all(headers["Authorization"] == "Bearer of-the-test" for headers in collector.headers)


async def test_nothing_else_is_recorded(stack: Platform, collector: Collector) -> None:
    async with stack.api() as api:
        quiet = await api.until_status(await api.send(to="+15551234568"), "read")
        body = {"to": "+15551234567", "text": {"body": "hello"}}
        status, told = await api.call("POST", "/api/messages", body, **RECORDED)
        assert status == 202
        loud = await api.until_status(told["id"], "read")
    await until(lambda: not missing(collector.of_trace(loud["trace_id"])), "the trace that comes after it")
    assert collector.of_trace(quiet["trace_id"]) == []
    assert not any(span.attributes.get("message_id") == quiet["id"] for span in collector.spans)


async def test_what_fails_is_recorded_although_nobody_asked(stack: Platform, collector: Collector) -> None:
    async with stack.api() as api:
        message_id = await api.send(to=REFUSED)
        message = await api.until_status(message_id, "failed")

    def spans() -> list[Seen]:
        return [span for span in collector.spans if span.attributes.get("message_id") == message_id]

    def told() -> bool:
        return {"sender", "gateway", "archive", "scheduler"} <= {span.service for span in spans()}

    await until(told, "the failure, and what followed from it")
    (trace_id,) = {span.trace_id for span in spans()}
    (attempt,) = [span for span in spans() if span.name == "attempt"]
    assert (attempt.is_failed, attempt.parent_id) == (True, "")
    assert attempt.attributes["error.type"] == message["error"]["code"]
    after = [span for span in collector.of_trace(trace_id) if span is not attempt]
    assert {span.parent_id for span in after} == {attempt.span_id}, tree_of(collector.of_trace(trace_id))


def missing(spans: Sequence[Seen]) -> list[str]:
    """Those of the way that are not there, or hang on another span."""
    by_id = {span.span_id: span for span in spans}
    names = {
        (span.name, span.service, span.kind, by_id[span.parent_id].name if span.parent_id in by_id else None) for span in spans
    }
    return [name for name, service, kind, cause in WAY if (name, service, kind, cause) not in names]
