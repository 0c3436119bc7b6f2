from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.config import TelemetrySettings
from shared.errors import Permanent
from shared.ids import new_id
from shared.telemetry.tracing import FAILURES_AT_ONCE, Kind, Tracing, current_traceparent, is_sampled, trace_id_of, trace_of

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
UNSAMPLED = f"00-{TRACE}-00f067aa0ba902b7-00"


def recording(ratio: float = 1.0) -> tuple[Tracing, InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    return Tracing("gateway", TelemetrySettings(sample_ratio=ratio), exporter), exporter


def test_children_share_the_trace_and_name_their_parent() -> None:
    tracing, exporter = recording()

    with tracing.span("accept", kind="server") as outer, tracing.span("store") as inner:
        assert current_traceparent() == inner.traceparent

    child, parent = exporter.get_finished_spans()
    assert (child.name, parent.name) == ("store", "accept")
    assert child.parent is not None
    assert child.parent.span_id == parent.context.span_id
    assert trace_id_of(outer.traceparent) == trace_id_of(inner.traceparent) == f"{parent.context.trace_id:032x}"
    assert current_traceparent() is None


def test_a_span_continues_the_trace_it_is_given() -> None:
    tracing, exporter = recording()

    with tracing.span("process", kind="consumer", traceparent=SAMPLED) as span:
        assert trace_id_of(span.traceparent) == TRACE
        assert is_sampled(span.traceparent)
        assert span.traceparent != SAMPLED

    (finished,) = exporter.get_finished_spans()
    assert finished.parent is not None
    assert f"{finished.parent.span_id:016x}" == "00f067aa0ba902b7"


@pytest.mark.parametrize("tracing", [recording()[0], recording(0)[0], Tracing("x", TelemetrySettings())])
def test_an_unsampled_parent_is_followed_unrecorded(tracing: Tracing) -> None:
    with tracing.span("process", traceparent=UNSAMPLED) as span:
        assert span.traceparent == UNSAMPLED
        assert current_traceparent() == UNSAMPLED
        with tracing.span("store") as child:
            assert trace_id_of(child.traceparent) == TRACE
            assert not is_sampled(child.traceparent)
    assert current_traceparent() is None


@pytest.mark.parametrize("tracing", [recording(0)[0], Tracing("x", TelemetrySettings())])
def test_unrecorded_work_still_has_a_trace_of_its_own(tracing: Tracing) -> None:
    with tracing.span("one") as one:
        pass
    with tracing.span("two") as two:
        two.set(count=1)
        two.fail("some.code")

    assert trace_id_of(one.traceparent) != trace_id_of(two.traceparent)
    assert not is_sampled(one.traceparent)
    with recording()[0].span("elsewhere", traceparent=one.traceparent) as other:
        assert trace_id_of(other.traceparent) == trace_id_of(one.traceparent), "others take it for valid"


@pytest.mark.parametrize("parent", [None, UNSAMPLED, "", "junk"])
def test_what_comes_without_a_recorded_trace_begins_none(parent: str | None) -> None:
    tracing, exporter = recording()

    with tracing.follow("POST messages", parent, kind="client") as span:
        span.set(count=1)
        span.fail("some.code")
        assert not is_sampled(span.traceparent)
        assert current_traceparent() is None

    assert exporter.get_finished_spans() == ()


def test_what_comes_with_a_recorded_trace_goes_on_with_it() -> None:
    tracing, exporter = recording()

    with tracing.follow("POST messages", SAMPLED, kind="client", attributes={"attempt": 1}) as span:
        assert current_traceparent() == span.traceparent

    (finished,) = exporter.get_finished_spans()
    assert finished.parent is not None
    assert f"{finished.parent.span_id:016x}" == "00f067aa0ba902b7"
    assert (finished.name, finished.kind.name, dict(finished.attributes or {})) == ("POST messages", "CLIENT", {"attempt": 1})


def test_what_fails_is_recorded_with_what_encloses_it_and_goes_on_recorded() -> None:
    tracing, exporter = recording(0)

    with tracing.span("request", kind="server", attributes={"count": 1}) as request:
        handed_on = request.traceparent
        with tracing.span("went well"):
            pass
        with tracing.span("store") as store:
            store.event("asked", attempt=1)
            store.fail("database.away")
            assert is_sampled(current_traceparent())
        assert is_sampled(current_traceparent())

    inner, outer = exporter.get_finished_spans()
    assert (inner.name, outer.name) == ("store", "request")
    assert (inner.parent and inner.parent.span_id, outer.parent) == (outer.context.span_id, None)
    assert [event.name for event in inner.events] == ["asked"]
    assert (inner.status.is_ok, outer.status.status_code.name) == (False, "UNSET")
    assert dict(outer.attributes or {}) == {"count": 1}
    assert handed_on[3:52] == f"{outer.context.trace_id:032x}-{outer.context.span_id:016x}", "what was told before names it too"
    assert current_traceparent() is None


def test_a_failure_in_a_trace_that_its_caller_does_not_record_names_the_caller() -> None:
    tracing, exporter = recording(0)

    with pytest.raises(ValueError, match="x"), tracing.span("request", traceparent=UNSAMPLED):
        raise ValueError("x")

    (span,) = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.parent is not None
    assert f"{span.parent.span_id:016x}" == "00f067aa0ba902b7"


def test_what_encloses_a_failure_but_has_ended_is_left_out() -> None:
    tracing, exporter = recording(0)
    with tracing.span("request"):
        late = tracing.span("left behind")
    with late as span:
        span.fail("too.late")

    assert [span.name for span in exporter.get_finished_spans()] == ["left behind"]


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit])
def test_being_cancelled_is_no_failure(error: type[BaseException]) -> None:
    tracing, exporter = recording(0)
    with pytest.raises(error), tracing.span("request"):
        raise error

    assert exporter.get_finished_spans() == ()


def test_where_everything_fails_a_sample_is_recorded() -> None:
    tracing, exporter = recording(0)
    for _ in range(int(FAILURES_AT_ONCE) * 5):
        with tracing.span("request") as span:
            span.fail("database.away")

    assert FAILURES_AT_ONCE <= len(exporter.get_finished_spans()) < FAILURES_AT_ONCE * 2


def test_whoever_asks_for_it_is_recorded() -> None:
    tracing, exporter = recording(0)
    with tracing.span("asked", record=True), tracing.span("within"):
        pass
    with tracing.span("of another", traceparent=UNSAMPLED, record=True):
        pass

    within, asked, of_another = exporter.get_finished_spans()
    assert within.parent is not None
    assert within.parent.span_id == asked.context.span_id
    assert f"{of_another.context.trace_id:032x}" == TRACE


def test_a_failure_told_afterwards_is_of_the_trace_of_its_id() -> None:
    tracing, exporter = recording(0)
    message_id = new_id("msg")

    told = tracing.failed("attempt", "provider.131026", message_id, seconds=2.0, attributes={"message_id": message_id})

    assert is_sampled(told)
    assert trace_id_of(told) == trace_of(message_id)
    (span,) = exporter.get_finished_spans()
    assert f"{span.context.trace_id:032x}" == trace_of(message_id)
    assert (span.end_time or 0) - (span.start_time or 0) >= 2_000_000_000
    assert dict(span.attributes or {}) == {"message_id": message_id, "error.type": "provider.131026"}
    assert Tracing("x", TelemetrySettings()).failed("attempt", "x", message_id, seconds=0) is None


def test_ids_have_traces_of_their_own() -> None:
    ids = {new_id("msg") for _ in range(1_000)}
    assert len({trace_of(one) for one in ids}) == len(ids)
    assert all(re.fullmatch("(?!0{32})[0-9a-f]{32}", trace_of(one)) for one in (*ids, "msg_", "no id at all"))


@pytest.mark.parametrize("junk", [None, "", "junk", f"{'x' * 54}1", f"00-{'0' * 32}-00f067aa0ba902b7-01"])
def test_a_link_to_nothing_is_none(junk: str | None) -> None:
    tracing, exporter = recording()
    with tracing.span("batch") as span:
        span.link(junk)
        span.link(SAMPLED)

    (link,) = exporter.get_finished_spans()[0].links
    assert f"{link.context.span_id:016x}" == "00f067aa0ba902b7"


def test_an_exporter_that_fails_fails_nothing_else() -> None:
    class Broken(InMemorySpanExporter):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise OSError(len(spans))

    with Tracing("x", TelemetrySettings(), Broken()).span("work") as span:
        pass
    assert is_sampled(span.traceparent)


def test_without_exporter_a_sampled_parent_is_passed_on_unsampled() -> None:
    with Tracing("x", TelemetrySettings()).span("process", traceparent=SAMPLED) as span:
        assert span.traceparent == UNSAMPLED


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "junk",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"{SAMPLED}-more",
        f"{SAMPLED}\n",
        SAMPLED[:-1],
    ],
)
def test_a_malformed_parent_begins_a_new_trace(bad: str) -> None:
    tracing, exporter = recording()

    with tracing.span("accept", traceparent=bad) as span:
        assert trace_id_of(span.traceparent) != TRACE

    assert exporter.get_finished_spans()[0].parent is None


@given(st.text(max_size=80))
def test_no_parent_makes_a_span_fail(text: str) -> None:
    with recording(0)[0].span("accept", traceparent=text) as span:
        assert len(span.traceparent) == 55


def test_a_later_version_is_understood() -> None:
    tracing, exporter = recording()

    with tracing.span("accept", traceparent=f"01-{TRACE}-00f067aa0ba902b7-03-extra") as span:
        assert span.traceparent.startswith(f"00-{TRACE}-")

    assert len(exporter.get_finished_spans()) == 1


def test_about_the_given_share_of_traces_is_recorded() -> None:
    tracing, exporter = recording(0.5)
    for _ in range(400):
        with tracing.span("accept"):
            pass

    assert 100 < len(exporter.get_finished_spans()) < 300


def test_an_exception_fails_the_span_with_its_code_and_without_its_text() -> None:
    tracing, exporter = recording()
    with pytest.raises(Permanent), tracing.span("a"):
        raise Permanent("number.unknown")
    with pytest.raises(ValueError, match="secret"), tracing.span("b"):
        raise ValueError("secret")

    first, second = exporter.get_finished_spans()
    assert dict(first.attributes or {}) == {"error.type": "number.unknown"}
    assert dict(second.attributes or {}) == {"error.type": "ValueError"}
    assert not first.status.is_ok
    assert "secret" not in second.to_json()


def test_services_of_one_process_keep_their_names_and_share_an_exporter() -> None:
    exporter = InMemorySpanExporter()
    gateway, sender = (Tracing(name, TelemetrySettings(), exporter) for name in ("gateway", "sender"))
    with gateway.span("accept") as span:
        pass
    gateway.close()
    gateway.close()
    with sender.span("deliver", traceparent=span.traceparent):
        pass

    names = [finished.resource.attributes["service.name"] for finished in exporter.get_finished_spans()]
    assert names == ["gateway", "sender"]


def test_a_closed_tracer_still_carries_contexts() -> None:
    tracing, exporter = recording()
    tracing.close()

    with tracing.span("late") as span:
        assert current_traceparent() == span.traceparent

    assert exporter.get_finished_spans() == ()


@pytest.mark.parametrize("kind", ["internal", "server", "client", "producer", "consumer"])
def test_kinds(kind: Kind) -> None:
    tracing, exporter = recording()
    with tracing.span("x", kind=kind):
        pass

    assert exporter.get_finished_spans()[0].kind.name == kind.upper()


def test_only_listed_attributes_in_the_shape_of_identifiers_get_onto_a_span() -> None:
    tracing, exporter = recording()
    with tracing.span("x", attributes={"http.route": "/api/messages/{message_id}", "body": "Hello"}) as span:
        span.set(
            tenant_id="tnt_1",
            attempt=2,
            to="+15551234567",
            text="Hello there",
            url="https://user:secret@example.org",
            # listed names with values that have no business there
            code="+15551234567",
            outcome="15551234567",
            status="Hello there",
            subject="chq_live_abc_0123456789",
            tier="EAAB0123456789abcdef",
            queue=["Hello"],
        )

    assert dict(exporter.get_finished_spans()[0].attributes or {}) == {
        "http.route": "/api/messages/{message_id}",
        "tenant_id": "tnt_1",
        "attempt": 2,
    }
