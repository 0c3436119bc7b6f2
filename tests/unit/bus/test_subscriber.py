"""A handler called under the spans and the log context of its events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
import structlog
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.bus.interface import Handler
from shared.bus.memory import MemoryBus
from shared.bus.subscriber import Subscriber
from shared.config import TelemetrySettings
from shared.errors import BatchFailed, Permanent, Retry
from shared.events.codec import encode
from shared.events.event import Event
from shared.run import Stage
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing, trace_of
from tests.contract.bus.events import TENANT, Happened, happened
from tests.contract.bus.harness import started, subscription

SAMPLED = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
UNSAMPLED = "00-1af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"


def traced(*traceparents: str | None) -> list[Event]:
    return [Happened(tenant_id=TENANT, seq=number, traceparent=parent) for number, parent in enumerate(traceparents)]


async def spans_of(events: Sequence[Event], handler: Handler) -> Sequence[ReadableSpan]:
    """The spans that ended once these events, handled in one call, were settled or dead."""
    exporter = InMemorySpanExporter()
    tracing = Tracing("test", TelemetrySettings(), exporter)
    subscribed, stop = subscription(), asyncio.Event()
    called = asyncio.Event()

    async def note(given: Sequence[Event]) -> None:
        try:
            await handler(given)
        finally:
            called.set()

    async with MemoryBus() as bus, asyncio.TaskGroup() as group:
        await bus.declare([subscribed])
        publish = started(bus.publish(encode(events)[0]))
        subscriber = Subscriber(bus, subscribed, note, tracing, Metrics("gateway"))
        assert subscriber.stage is Stage.CONSUME
        group.create_task(subscriber.run(stop))
        await called.wait()
        stop.set()
        publish.cancel()
    return exporter.get_finished_spans()


async def test_sampled_events_get_a_span_each_and_carry_it_on() -> None:
    given: list[Event] = []

    async def handler(events: Sequence[Event]) -> None:
        given.extend(events)

    batch, *spans = await spans_of(traced(SAMPLED, None, UNSAMPLED, SAMPLED), handler)
    assert [span.name for span in spans] == ["process test.subscription"] * 2
    assert (batch.name, batch.parent) == ("process batch test.subscription", None)
    assert {f"{link.context.span_id:016x}" for link in batch.links} == {"b7ad6b7169203331"}
    assert {link.context.span_id for span in spans for link in span.links} == {batch.context.span_id}
    assert batch.attributes is not None
    assert batch.attributes["messaging.batch.message_count"] == 4
    assert {span.parent.span_id for span in spans if span.parent} == {0xB7AD6B7169203331}
    assert {f"{span.context.span_id:016x}" for span in spans if span.context} == {
        parent.split("-")[2] for event in (given[0], given[3]) if (parent := event.traceparent)
    }
    assert [event.traceparent for event in given[1:3]] == [None, None]
    assert all(span.attributes and span.attributes["messaging.operation.type"] == "process" for span in spans)
    assert {str(span.attributes["event_id"]) for span in spans if span.attributes} == {given[0].event_id, given[3].event_id}


@pytest.mark.parametrize("error", [Retry("test.later"), Permanent("test.never")], ids=["retry", "permanent"])
async def test_a_failure_of_all_marks_all_their_spans(error: Retry | Permanent) -> None:
    async def handler(events: Sequence[Event]) -> None:
        raise error

    spans = await spans_of(traced(SAMPLED, SAMPLED), handler)
    assert [span.attributes["error.type"] for span in spans if span.attributes] == [error.code] * 3, "the batch's and theirs"


async def test_one_event_is_no_batch() -> None:
    async def handler(events: Sequence[Event]) -> None:
        pass

    (span,) = await spans_of(traced(SAMPLED), handler)
    assert (span.name, len(span.links)) == ("process test.subscription", 0)


async def test_an_event_that_nobody_traces_is_recorded_when_it_fails() -> None:
    events = traced(None, None)

    async def handler(given: Sequence[Event]) -> None:
        raise BatchFailed({events[0].event_id: Retry("test.early", counted=False), events[1].event_id: Permanent("test.never")})

    (span,) = await spans_of(events, handler)
    assert span.attributes is not None
    assert (span.attributes["error.type"], span.attributes["event_id"]) == ("test.never", events[1].event_id)
    assert f"{span.context.trace_id:032x}" == trace_of(events[1].event_id)


async def test_a_failure_of_some_marks_theirs() -> None:
    async def handler(events: Sequence[Event]) -> None:
        raise BatchFailed({events[1].event_id: Permanent("test.never")})

    spans = await spans_of(traced(SAMPLED, SAMPLED, SAMPLED), handler)
    assert [span.status.is_ok for span in spans].count(False) == 1


async def test_log_lines_of_a_single_event_name_it() -> None:
    context: dict[str, object] = {}

    async def handler(events: Sequence[Event]) -> None:
        context.update(structlog.contextvars.get_contextvars())

    [event] = happened([1])
    await spans_of([event], handler)
    assert context == {"subscription": "test.subscription", "tenant_id": TENANT, "event_id": event.event_id}
    assert "event_id" not in structlog.contextvars.get_contextvars()
