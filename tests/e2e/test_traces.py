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

pytestmark = pytest.mark.timeout(40)

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
        names = [span.name for span in spans()]
        recorded = names.count("process archive.record")
        return all(name in names for name, _, _ in WAY) and names.count("webhook status") == STATUSES and recorded >= STATUSES

    try:
        await until(complete, "the trace to be complete", 10)
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
    ours = [span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == trace_id]
    entry = next(span for span in ours if span.name == "POST /api/messages")
    assert entry.parent is not None
    assert f"{entry.parent.span_id:016x}" == caller


async def test_messages_of_a_batch_share_the_requests_trace(assembly: Assembly, exporter: InMemorySpanExporter) -> None:
    async with assembly.api() as api:
        batch = [{"to": f"+1555123{n:04d}", "text": {"body": "hello"}} for n in range(5)]
        status, accepted = await api.call("POST", "/api/messages/batch", batch)
        assert status == 202
        messages = [await api.until_status(one["id"], "read") for one in accepted["results"]]
    (trace_id,) = {message["trace_id"] for message in messages}
    calls = [s for s in exporter.get_finished_spans() if s.name == "POST messages" and f"{s.context.trace_id:032x}" == trace_id]
    assert {(s.attributes or {})["message_id"] for s in calls} == {message["id"] for message in messages}


async def test_a_webhook_that_is_recorded_is_linked_from_what_it_says(
    assembly: Assembly, exporter: InMemorySpanExporter
) -> None:
    async with assembly.api() as api:
        await api.until_status(await api.send(to="+15551234567"), "read")
    brought = {
        (span.context.trace_id, span.context.span_id)
        for span in exporter.get_finished_spans()
        if span.name == "POST /api/webhooks/whatsapp"
    }
    linked = [
        {(link.context.trace_id, link.context.span_id) for link in span.links}
        for span in exporter.get_finished_spans()
        if span.name == "webhook status"
    ]
    assert len(linked) == STATUSES
    assert all(links and links <= brought for links in linked)


async def test_a_retry_is_told_by_its_attempts(assembly: Assembly, exporter: InMemorySpanExporter) -> None:
    """The sandbox is overloaded when it is first asked."""
    async with assembly.api() as api:
        message = await api.until_status(await api.send(to="+19995550029"), "read")
    attempts = [
        s for s in exporter.get_finished_spans() if s.name == "attempt" and f"{s.context.trace_id:032x}" == message["trace_id"]
    ]
    first, second = sorted(attempts, key=lambda span: span.start_time or 0)
    assert (first.status.is_ok, [event.name for event in first.events]) == (False, ["put_back"])
    assert (first.attributes or {})["error.type"] == "provider.131016"
    assert ((second.attributes or {})["outcome"], (second.attributes or {})["attempt"]) == ("sent", 2)


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
