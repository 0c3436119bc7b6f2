"""Spans on their way into the store: what is kept of one, and which ones when there are too many."""

from __future__ import annotations

import random
from typing import Any

import orjson
import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode

from services.gateway.traces.buffer import SpanBuffer
from services.gateway.traces.span import LINKS, Span, of_otlp, of_sdk, sent

START = 1_795_000_000_000_000_000
TENANT, MESSAGE = "tnt_06h07mi4phr1191uaqtb5co9go", "msg_06h07npu55v070kefd9p61qr3k"
SCRIPT = "<img src=x onerror=alert(1)>"


def context(trace: int, span: int) -> SpanContext:
    return SpanContext(trace, span, is_remote=False)


def span(trace: int = 0xABC, number: int = 1, parent: int | None = None, **more: Any) -> ReadableSpan:
    failed = more.pop("failed", False)
    return ReadableSpan(
        name=more.pop("name", "process sender.deliver"),
        context=context(trace, number),
        parent=None if parent is None else context(trace, parent),
        resource=Resource({"service.name": "sender"}),
        kind=more.pop("kind", SpanKind.CONSUMER),
        start_time=START,
        end_time=more.pop("end_time", START + 2_500_000),
        status=Status(StatusCode.ERROR) if failed else Status(),
        **more,
    )


def both_ways(one: ReadableSpan) -> list[Span]:
    """As the SDK hands it over, and as it comes over HTTP."""
    request = ExportTraceServiceRequest.FromString(encode_spans([one]).SerializeToString())
    return [of_sdk(one), *(of_otlp(service, other) for service, other in sent(request))]


def test_a_span_is_the_same_from_the_sdk_and_over_http() -> None:
    one = span(
        parent=7,
        failed=True,
        attributes={"tenant_id": TENANT, "message_id": MESSAGE, "attempt": 2},
        events=[Event("tokens taken", {"wait_ms": 12.5}, START + 1_000_000)],
        links=[Link(context(0xDEF, 9), {"message_id": MESSAGE})],
    )
    ours, theirs = both_ways(one)
    assert ours == theirs
    assert (ours.trace_id, ours.span_id, ours.parent_id) == (bytes(14) + b"\x0a\xbc", bytes(7) + b"\x01", bytes(7) + b"\x07")
    assert (ours.service, ours.kind, ours.failed, ours.duration_us) == ("sender", "consumer", True, 2_500)
    assert (ours.tenant_id, ours.message_id) == (TENANT, MESSAGE)
    assert ours.started_at.timestamp() * 10**9 == START
    assert orjson.loads(ours.events) == [["tokens taken", 1_000, {"wait_ms": 12.5}]]
    assert orjson.loads(ours.links) == [[f"{0xDEF:032x}", f"{9:016x}", {"message_id": MESSAGE}]]
    assert ours.linked == [bytes(14) + b"\x0d\xef"]


def test_what_is_on_no_list_is_not_kept_wherever_it_stands() -> None:
    hidden: dict[str, Any] = {
        "to": "+15551234567",
        "body": "hello",
        "code": "+15551234567",
        "status": "wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI",
        "outcome": "two words",
        "exception.message": "it was +15551234567",
    }
    one = span(
        name="call +15551234567",
        attributes=hidden,
        events=[Event("exception", hidden, START)],
        links=[Link(context(0xDEF, 9), hidden)],
    )
    for kept in both_ways(one):
        assert not any(text in repr(kept) for text in ("1555", "hello", "wamid", "two words"))


def test_names_are_cut_and_hold_nothing_that_is_not_printed() -> None:
    (kept, _) = both_ways(span(name=f"a\x00b\x1b[31m{SCRIPT}{'x' * 500}"))
    assert kept.name.startswith(f"a b [31m{SCRIPT}")
    assert len(kept.name) <= 120
    assert kept.name.isprintable()


def test_a_clock_that_went_back_makes_no_negative_duration() -> None:
    assert [kept.duration_us for kept in both_ways(span(end_time=START - 5))] == [0, 0]


def test_links_are_bounded_and_those_within_the_trace_lead_nowhere_else() -> None:
    links = [Link(context(0xABC, 5)), *(Link(context(n + 1, 9)) for n in range(LINKS + 10))]
    for kept in both_ways(span(links=links)):
        assert len(orjson.loads(kept.links)) == LINKS
        assert len(kept.linked or []) == LINKS - 1


@pytest.mark.parametrize("kind", list(SpanKind))
def test_every_kind_is_told_apart(kind: SpanKind) -> None:
    assert {kept.kind for kept in both_ways(span(kind=kind))} == {kind.name.lower()}


def test_a_span_with_a_broken_id_is_lost_alone() -> None:
    request = encode_spans([span(number=1), span(number=2), span(number=3)])
    request.resource_spans[0].scope_spans[0].spans[1].span_id = b"short"
    buffer = SpanBuffer()
    buffer.receive(request)
    assert [kept.span_id[-1] for kept in buffer.take(10)] == [1, 3]
    assert buffer.adjust() == 1


def test_a_full_buffer_takes_nothing_more_and_counts_what_it_lost() -> None:
    buffer = SpanBuffer(room=10)
    buffer.export([span(number=n + 1) for n in range(25)])
    assert len(buffer) == 10
    assert len(buffer.take(100)) == 10
    assert buffer.adjust() == 15
    assert buffer.adjust() == 0


def test_under_load_whole_traces_are_kept_and_failures() -> None:
    choose = random.Random(7)  # noqa: S311  # ids of traces
    buffer = SpanBuffer(room=500)
    kept: dict[bytes, int] = {}
    for _ in range(60):
        for _ in range(100):
            trace = choose.getrandbits(128)
            buffer.export([span(trace, n + 1) for n in range(10)])
        buffer.take(100)
        buffer.adjust()
    assert 0 < buffer.share < 0.5
    while len(buffer):
        buffer.take(100)
    settled = 40
    for _ in range(settled):
        trace = choose.getrandbits(128)
        buffer.export([span(trace, n + 1) for n in range(10)])
    for one in buffer.take(1_000):
        kept[one.trace_id] = kept.get(one.trace_id, 0) + 1
    assert set(kept.values()) <= {10}
    assert len(kept) < settled
    buffer.export([span((1 << 128) - 1, 1), span((1 << 128) - 1, 2, failed=True)])
    assert [one.span_id[-1] for one in buffer.take(10)] == [2]


def test_the_share_grows_back_when_there_is_room() -> None:
    buffer = SpanBuffer(room=8)
    for _ in range(5):
        buffer.export([span(trace=n, number=1) for n in range(1, 30)])
        buffer.adjust()
    assert buffer.share < 1
    buffer.take(100)
    for _ in range(12):
        buffer.adjust()
    assert buffer.share == 1


def test_looking_at_traces_leaves_none() -> None:
    buffer = SpanBuffer()
    own = [span(name="GET /admin/traces"), span(name="GET /admin/traces/{trace_id}", number=2)]
    buffer.export(own)
    buffer.receive(encode_spans(own))
    assert len(buffer) == 0
