"""A span as it is kept: from the SDK of this process, or from OTLP, with nothing on it but what the allow-list names."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from shared.telemetry.redaction import scrub, span_attributes

NAME_LENGTH: Final = 120
EVENTS: Final = 32
LINKS: Final = 512
"""A batch of messages has a link for each; what is over these limits is left out."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_KINDS: Final = ("internal", "internal", "server", "client", "producer", "consumer")
"""By OTLP's numbers; 0 is unspecified."""

Note = tuple[str, int, Mapping[str, Any] | None]
"""An event: name, nanoseconds since 1970, attributes."""
Link = tuple[bytes, bytes, Mapping[str, Any] | None]
"""Trace id, span id, attributes."""


class Span(NamedTuple):
    """The columns of a row, in their order, and the tenant, which belongs to the trace."""

    trace_id: bytes
    span_id: bytes
    parent_id: bytes | None
    service: str
    name: str
    kind: str
    started_at: datetime
    duration_us: int
    failed: bool
    message_id: str | None
    attributes: str
    events: str
    links: str
    linked: list[bytes] | None
    tenant_id: str | None


def of_sdk(span: ReadableSpan) -> Span:
    """Raises ValueError, TypeError or OverflowError for one that cannot be kept."""
    context = span.get_span_context()
    if context is None:
        raise ValueError("a span without a context")
    return _span(
        trace_id=context.trace_id.to_bytes(16, "big"),
        span_id=context.span_id.to_bytes(8, "big"),
        parent_id=span.parent.span_id.to_bytes(8, "big") if span.parent is not None else None,
        service=str(span.resource.attributes.get("service.name", "")),
        name=span.name,
        kind=span.kind.name.lower(),
        start=span.start_time or 0,
        end=span.end_time or 0,
        failed=span.status.status_code is StatusCode.ERROR,
        attributes=span.attributes or {},
        notes=[(event.name, event.timestamp, event.attributes) for event in span.events],
        links=[
            (link.context.trace_id.to_bytes(16, "big"), link.context.span_id.to_bytes(8, "big"), link.attributes)
            for link in span.links
        ],
    )


def sent(request: ExportTraceServiceRequest) -> Iterator[tuple[str, OtlpSpan]]:
    """The spans of a request, each with its service."""
    for resource in request.resource_spans:
        service = str(_attributes(resource.resource.attributes).get("service.name", ""))
        for scope in resource.scope_spans:
            for span in scope.spans:
                yield service, span


def of_otlp(service: str, span: OtlpSpan) -> Span:
    """Raises ValueError, TypeError or OverflowError for one that cannot be kept."""
    return _span(
        trace_id=span.trace_id,
        span_id=span.span_id,
        parent_id=span.parent_span_id or None,
        service=service,
        name=span.name,
        kind=_KINDS[span.kind] if 0 <= span.kind < len(_KINDS) else "internal",
        start=span.start_time_unix_nano,
        end=span.end_time_unix_nano,
        failed=span.status.code == Status.STATUS_CODE_ERROR,
        attributes=_attributes(span.attributes),
        notes=[(event.name, event.time_unix_nano, _attributes(event.attributes)) for event in span.events[:EVENTS]],
        links=[(link.trace_id, link.span_id, _attributes(link.attributes)) for link in span.links[:LINKS]],
    )


def _span(  # noqa: PLR0913  # a row
    *,
    trace_id: bytes,
    span_id: bytes,
    parent_id: bytes | None,
    service: str,
    name: str,
    kind: str,
    start: int,
    end: int,
    failed: bool,
    attributes: Mapping[str, Any],
    notes: list[Note],
    links: list[Link],
) -> Span:
    if len(trace_id) != 16 or len(span_id) != 8 or len(parent_id or span_id) != 8:
        raise ValueError("an id of the wrong length")
    shown = dict(span_attributes(attributes))
    message_id, tenant_id = shown.get("message_id"), shown.get("tenant_id")
    linked = {other for other, _, _ in links[:LINKS] if other != trace_id and len(other) == 16}
    return Span(
        trace_id=trace_id,
        span_id=span_id,
        parent_id=parent_id,
        service=_name(service),
        name=_name(name),
        kind=kind,
        started_at=_EPOCH + timedelta(microseconds=start // 1_000),
        duration_us=max(0, end - start) // 1_000,
        failed=failed,
        message_id=message_id if isinstance(message_id, str) else None,
        attributes=_json(shown),
        events=_json([[_name(note), (at - start) // 1_000, _shown(more)] for note, at, more in notes[:EVENTS]]),
        links=_json([[other.hex(), at.hex(), _shown(more)] for other, at, more in links[:LINKS]]),
        linked=sorted(linked) or None,
        tenant_id=tenant_id if isinstance(tenant_id, str) else None,
    )


def _shown(attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return dict(span_attributes(attributes)) if attributes else {}


def _name(text: str) -> str:
    """Names are constants of the code; should one ever be more, it is nothing that harms."""
    return scrub("".join(letter if letter.isprintable() else " " for letter in text[:NAME_LENGTH])) if text else "?"


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _attributes(pairs: Iterable[KeyValue]) -> dict[str, str | int | float | bool]:
    """Those whose value is one of a kind that a span may show."""
    found: dict[str, str | int | float | bool] = {}
    for pair in pairs:
        value = pair.value
        match value.WhichOneof("value"):
            case "string_value":
                found[pair.key] = value.string_value
            case "int_value":
                found[pair.key] = value.int_value
            case "bool_value":
                found[pair.key] = value.bool_value
            case "double_value":
                found[pair.key] = value.double_value
            case _:
                pass  # lists, maps and bytes: none of ours has one
    return found
