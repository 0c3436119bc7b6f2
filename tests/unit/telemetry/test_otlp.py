"""Spans as a collector reads them, and the settings of the way there."""

from __future__ import annotations

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from shared.config import TelemetrySettings
from shared.telemetry.span import MAX_EVENTS, MAX_LINKS
from shared.telemetry.tracing import Tracing
from tests.support.collector import seen

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


def test_what_a_span_says_arrives() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing("gateway", TelemetrySettings(), exporter)
    attributes = {"outcome": "sent", "attempt": 2, "share": 0.5, "failed": True}
    with tracing.span("deliver", kind="consumer", traceparent=PARENT, attributes=attributes) as outer:
        outer.event("asked", attempt=1)
        outer.link(PARENT)
        with tracing.span("within") as inner:
            inner.fail("provider.131016")

    request = encode_spans(exporter.get_finished_spans())

    within, deliver = seen(request)
    assert (deliver.service, deliver.name, deliver.kind, deliver.is_failed) == ("gateway", "deliver", "consumer", False)
    assert (deliver.trace_id, deliver.parent_id) == (TRACE, "00f067aa0ba902b7")
    assert deliver.attributes == attributes
    assert [type(value) for value in deliver.attributes.values()] == [str, int, float, bool]
    assert (deliver.events, deliver.links) == (("asked",), ((TRACE, "00f067aa0ba902b7"),))
    assert (within.is_failed, within.parent_id) == (True, deliver.span_id)
    assert 0 < deliver.started_ns <= within.started_ns <= within.ended_ns <= deliver.ended_ns
    encoded = request.resource_spans[0].scope_spans[0]
    assert encoded.scope.name == "chasqui"
    assert [span.flags for span in encoded.spans] == [0x100, 0x300]  # whether the parent is remote is known (SpanFlags)


def test_what_was_too_much_for_a_span_is_counted() -> None:
    exporter = InMemorySpanExporter()
    with Tracing("gateway", TelemetrySettings(), exporter).span("batch") as span:
        for n in range(1_000):
            span.link(PARENT)
            span.event("again", attempt=n)

    (encoded,) = encode_spans(exporter.get_finished_spans()).resource_spans[0].scope_spans[0].spans
    assert (len(encoded.events), encoded.dropped_events_count) == (MAX_EVENTS, 1_000 - MAX_EVENTS)
    assert (len(encoded.links), encoded.dropped_links_count) == (MAX_LINKS, 1_000 - MAX_LINKS)


def test_an_operator_adds_to_what_is_said_of_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=production,service.name=another")
    attributes = Tracing("gateway", TelemetrySettings()).resource.attributes
    assert attributes["deployment.environment.name"] == "production"
    assert attributes["service.name"] == "gateway"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("", {}),
        ("authorization=Bearer%20abc", {"authorization": "Bearer abc"}),
        ("a=1, b = 2 ,c=d=e", {"a": "1", "b": "2", "c": "d=e"}),
    ],
)
def test_headers(text: str, fields: dict[str, str]) -> None:
    assert TelemetrySettings(otlp_headers=text).otlp_header_fields == fields  # type: ignore[arg-type]  # as from the environment


@pytest.mark.parametrize("text", ["authorization", "a b=c", "=x", "a=b%0d%0ac", "a=%00"])
def test_what_is_no_header_is_refused_without_being_shown(text: str) -> None:
    with pytest.raises(ValueError, match="otlp_headers") as refused:
        TelemetrySettings(otlp_headers=text)  # type: ignore[arg-type]  # as from the environment
    assert text not in str(refused.value)
