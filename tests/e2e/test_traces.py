"""One message, one trace: from the HTTP call to the blue ticks, every span hangs on the one that caused it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.support.assembly import Assembly, assembled
from tests.support.database import Database
from tests.support.platform import until

WAY = [
    # span, its service, the span it hangs on
    ("POST /api/messages", "gateway", None),
    ("process scheduler.hold", "scheduler", "POST /api/messages"),
    ("release", "scheduler", "process scheduler.hold"),
    ("process sender.deliver", "sender", "release"),
    ("attempt", "sender", "process sender.deliver"),
    ("POST messages", "sender", "attempt"),
    ("POST /{phone_number_id}/messages", "sandbox", "POST messages"),
    ("webhook status", "gateway", "POST /api/messages"),
    ("process archive.record", "archive", None),
]
"""None: on some span of the trace, which one is not promised."""
STATUSES = 2
"""Reports of the provider that tell something new: delivered, read."""


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
async def assembly(
    database: Database, redis_url: str, tmp_path: Path, exporter: InMemorySpanExporter
) -> AsyncIterator[Assembly]:
    async with assembled(database, redis_url, tmp_path / "journal", exporter) as assembly:
        yield assembly


async def test_one_trace_covers_a_message_from_the_request_to_the_archive(
    assembly: Assembly, exporter: InMemorySpanExporter
) -> None:
    async with assembly.api() as api:
        message_id = await api.send(to="+15551234567")
        message = await api.until_status(message_id, "read")

    def spans() -> Sequence[ReadableSpan]:
        return [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == message["trace_id"]]

    def complete() -> bool:
        names, known = [span.name for span in spans()], {span.context.span_id for span in spans()}
        recorded = names.count("process archive.record")
        ended = all(span.parent is None or span.parent.span_id in known for span in spans())
        found = all(name in names for name, _, _ in WAY)
        return found and ended and names.count("webhook status") == STATUSES and recorded >= STATUSES

    try:
        await until(complete, "the trace to be complete")
        assert_connected(spans())
    except AssertionError as error:
        raise AssertionError(f"{error}\n{tree(spans())}") from None


async def test_a_caller_who_traces_sees_the_message_in_the_callers_trace(
    assembly: Assembly, exporter: InMemorySpanExporter
) -> None:
    trace_id, caller = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    async with assembly.api() as api:
        status, accepted = await api.call(
            "POST",
            "/api/messages",
            {"to": "+15551234567", "text": {"body": "hello"}},
            traceparent=f"00-{trace_id}-{caller}-01",
        )
        assert status == 202
        message = await api.until_status(accepted["id"], "read")
    assert message["trace_id"] == trace_id
    (entry,) = await recorded(exporter, "POST /api/messages", 1, trace_id)
    assert entry.parent is not None
    assert f"{entry.parent.span_id:016x}" == caller


async def test_messages_of_a_batch_share_the_requests_trace(assembly: Assembly, exporter: InMemorySpanExporter) -> None:
    async with assembly.api() as api:
        batch = [{"to": f"+1555123{n:04d}", "text": {"body": "hello"}} for n in range(5)]
        status, accepted = await api.call("POST", "/api/messages/batch", batch)
        assert status == 202
        messages = [await api.until_status(one["id"], "read") for one in accepted["results"]]
    (trace_id,) = {message["trace_id"] for message in messages}
    calls = await recorded(exporter, "POST messages", 5, trace_id)
    assert {(s.attributes or {})["message_id"] for s in calls} == {message["id"] for message in messages}


async def test_a_webhook_that_is_recorded_is_linked_from_what_it_says(
    assembly: Assembly, exporter: InMemorySpanExporter
) -> None:
    async with assembly.api() as api:
        await api.until_status(await api.send(to="+15551234567"), "read")
    said = await recorded(exporter, "webhook status", STATUSES)
    linked = [{(link.context.trace_id, link.context.span_id) for link in span.links} for span in said]

    def brought() -> set[tuple[int, int]]:
        webhooks = [span for span in exporter.get_finished_spans() if span.name == "POST /api/webhooks/whatsapp"]
        return {(span.context.trace_id, span.context.span_id) for span in webhooks}

    await until(lambda: all(links and links <= brought() for links in linked), "the webhooks to be recorded")


async def test_a_retry_is_told_by_its_attempts(assembly: Assembly, exporter: InMemorySpanExporter) -> None:
    """The sandbox is overloaded when it is first asked."""
    async with assembly.api() as api:
        message = await api.until_status(await api.send(to="+19995550029"), "read")
    attempts = await recorded(exporter, "attempt", 2, message["trace_id"])
    first, second = sorted(attempts, key=lambda span: span.start_time or 0)
    assert (first.status.is_ok, [event.name for event in first.events]) == (False, ["put_back"])
    assert (first.attributes or {})["error.type"] == "provider.131016"
    assert ((second.attributes or {})["outcome"], (second.attributes or {})["attempt"]) == ("sent", 2)


async def recorded(exporter: InMemorySpanExporter, name: str, count: int, trace_id: str | None = None) -> list[ReadableSpan]:
    """All of this name, once so many have ended: what a span is about may be seen before its end."""

    def found() -> list[ReadableSpan]:
        named = [span for span in exporter.get_finished_spans() if span.name == name]
        return [span for span in named if trace_id is None or f"{span.context.trace_id:032x}" == trace_id]

    await until(lambda: len(found()) >= count, f"{count} of {name} to end")
    spans = found()
    assert len(spans) == count
    return spans


def assert_connected(spans: Sequence[ReadableSpan]) -> None:
    by_id = {span.context.span_id: span for span in spans}
    roots = [span for span in spans if span.parent is None]
    assert [root.name for root in roots] == ["POST /api/messages"], "one root"
    for span in spans:
        assert span.parent is None or span.parent.span_id in by_id, f"{span.name} hangs on nothing"
    for name, service, cause in WAY:
        found = [span for span in spans if span.name == name and span.resource.attributes["service.name"] == service]
        assert found, f"no {name} of {service}"
        if cause is not None:
            for span in found:
                assert span.parent is not None, name
                assert by_id[span.parent.span_id].name == cause, f"{name} hangs on another span"


def tree(spans: Sequence[ReadableSpan]) -> str:
    """The spans, each under what caused it."""
    known = {span.context.span_id for span in spans}
    lines: list[str] = []

    def show(parent: int | None, depth: int) -> None:
        for span in sorted(spans, key=lambda span: span.start_time or 0):
            above = span.parent.span_id if span.parent is not None and span.parent.span_id in known else None
            if above == parent:
                lost = "" if span.parent is None or above is not None else f"  (hangs on {span.parent.span_id:016x}, not here)"
                lines.append(f"{'  ' * depth}{span.resource.attributes['service.name']!s}: {span.name}{lost}")
                show(span.context.span_id, depth + 1)

    show(None, 0)
    return "\n".join(lines)
