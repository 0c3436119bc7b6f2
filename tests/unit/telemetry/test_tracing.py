from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.config import TelemetrySettings
from shared.errors import Permanent
from shared.telemetry.tracing import Kind, Tracing, current_traceparent, is_sampled, trace_id_of

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
