"""Spans and W3C trace context. One `Tracing` per service object, so that several services live in one process; no OTel globals.

The current context is one string, the `traceparent`, because that is what rides in headers, events and outbox rows. Every piece
of work has one, recorded or not: problem documents and messages show its trace id. Whoever begins a trace decides whether it is
recorded, the others follow the flag - until something fails: then it is recorded whatever was decided, with what encloses it in
this process, and what it causes from there on. So many failures a second, that is: where everything fails, a sample says it all.
"""

from __future__ import annotations

import random
import re
import socket
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Final

import structlog
from opentelemetry.sdk.resources import (
    HOST_NAME,
    SERVICE_INSTANCE_ID,
    SERVICE_NAME,
    SERVICE_NAMESPACE,
    SERVICE_VERSION,
    Resource,
)
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter

from shared.config import TelemetrySettings
from shared.telemetry.catalogue import SPANS_TOTAL
from shared.telemetry.metrics import Reading
from shared.telemetry.otlp import OtlpSink
from shared.telemetry.span import (
    TRACEPARENT,
    Carried,
    Kind,
    Recordable,
    Span,
    SpanScope,
    Unrecorded,
    Untraced,
    child_of,
    current,
    new_root,
    root_of,
)
from shared.version import VERSION

__all__ = ["NO_SPAN", "Kind", "Span", "SpanScope", "Tracing", "current_traceparent", "is_sampled", "trace_id_of", "trace_of"]

log = structlog.get_logger(__name__)

FLUSH_SECONDS: Final = 3.0
FAILURES_PER_SECOND: Final = 20.0
FAILURES_AT_ONCE: Final = 100.0
RECORD_HEADER: Final = "X-Chasqui-Trace"
RECORD: Final = "record"
"""The header's value that has a request recorded whatever the ratio."""

NO_SPAN: Final = Untraced()

_FLAGS_AT: Final = slice(53, 55)
_SAMPLED_DIGITS: Final = "13579bdf"
_ID_DIGITS: Final = re.compile(r"[a-z]+_([0-9a-v]{26})")


def current_traceparent() -> str | None:
    """The context of the work at hand: what to send along with a request, an event, a row."""
    span = current.get()
    return None if span is None else span.traceparent


def is_sampled(traceparent: str | None) -> bool:
    """True where the trace is being recorded."""
    return traceparent is not None and traceparent[54:55] in _SAMPLED_DIGITS and len(traceparent) >= 55


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hex digits that name the trace."""
    return traceparent[3:35] if traceparent is not None else None


def trace_of(entity_id: str) -> str:
    """The trace that failures of something are recorded in whose own trace nobody records: that of its own id, which is a UUID as a
    trace id is one, so that all of them meet there without anything being carried along."""
    found = _ID_DIGITS.fullmatch(entity_id)
    return f"{(int(found[1], 32) if found else random.getrandbits(128)) % (1 << 128) or 1:032x}"


class Tracing:
    """The tracer of one service.

    Nothing is recorded without an `exporter` or an OTLP endpoint. A given exporter is called in line, at each span's end, and
    stays its giver's; it suits tests and spans kept in memory, and must not wait.
    """

    def __init__(self, service: str, settings: TelemetrySettings, exporter: SpanExporter | None = None) -> None:
        self.resource: Final = Resource.create(  # the SDK adds what OTEL_RESOURCE_ATTRIBUTES says
            {
                SERVICE_NAME: service,
                SERVICE_NAMESPACE: "chasqui",
                SERVICE_VERSION: VERSION,
                SERVICE_INSTANCE_ID: uuid.uuid4().hex,
                HOST_NAME: socket.gethostname(),
            }
        )
        self._ratio = settings.sample_ratio
        self._exporter = exporter
        self._otlp: OtlpSink | None = None
        if settings.otlp_endpoint:
            self._otlp = OtlpSink(settings.otlp_endpoint, settings.otlp_header_fields)
        self._may_record = exporter is not None or self._otlp is not None
        self._failures_left = FAILURES_AT_ONCE
        self._counted_at = time.monotonic()

    @property
    def exported(self) -> int:
        """Spans that the collector took."""
        return 0 if self._otlp is None else self._otlp.exported

    @property
    def lost(self) -> int:
        """Spans that the collector did not get."""
        return 0 if self._otlp is None else self._otlp.lost

    async def read(self) -> Iterable[Reading]:
        """For a scrape."""
        return (Reading(SPANS_TOTAL, self.exported, ("exported",)), Reading(SPANS_TOTAL, self.lost, ("lost",)))

    def close(self) -> None:
        """Flush what is recorded, for at most `FLUSH_SECONDS`; blocks, and loses the rest. Twice is safe."""
        self._may_record, self._exporter = False, None
        if self._otlp is not None:
            self._otlp.close(FLUSH_SECONDS)

    def span(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        traceparent: str | None = None,
        attributes: Mapping[str, object] | None = None,
        record: bool = False,
    ) -> SpanScope:
        """A span that is current within its block. It begins here, so enter it at once.

        `traceparent` comes from outside and may be anything: one that is malformed begins a new trace. None makes a child of
        the current span, or a new trace. `record` has it recorded whatever its parent or the ratio says.
        """
        parent: Carried | str | None
        if traceparent is None:
            parent = current.get()
            above = None if parent is None else parent.traceparent
        else:
            parent = above = traceparent if TRACEPARENT.fullmatch(traceparent) else None
        if not self._may_record:
            return Unrecorded(new_root(is_recorded=False) if above is None else _unsampled(above))
        if above is None:
            is_recorded = record or random.random() < self._ratio  # noqa: S311  # a sample is no secret
            own = new_root(is_recorded=is_recorded)
            return Recordable(name, kind, None, own, attributes, self, is_recorded)
        is_recorded = record or above[54] in _SAMPLED_DIGITS
        own = child_of(above) if is_recorded else _unsampled(above)
        return Recordable(name, kind, parent, own, attributes, self, is_recorded)

    def follow(
        self, name: str, traceparent: str | None, *, kind: Kind = "internal", attributes: Mapping[str, object] | None = None
    ) -> SpanScope:
        """A span of the trace that an event or a row came with. One that came with none, or with one that nobody records, begins
        none here and costs nothing; the `traceparent` of such a span is empty, and `failed` says what went wrong under it."""
        if not is_sampled(traceparent):
            return NO_SPAN
        return self.span(name, kind=kind, traceparent=traceparent, attributes=attributes)

    def failed(
        self,
        name: str,
        code: str,
        entity_id: str,
        *,
        seconds: float,
        kind: Kind = "internal",
        attributes: Mapping[str, object] | None = None,
    ) -> str | None:
        """Record work that nobody traced after it has failed: it took so long, and is the first span of `trace_of(entity_id)`.
        Returns its traceparent; None where it is not recorded, nothing being recorded or too much failing just now."""
        if not self._may_record or not self.may_fail():
            return None
        own = root_of(trace_of(entity_id))
        span = Recordable(name, kind, None, own, attributes, self, True)
        span.began(seconds)
        span.fail(code)
        self.put(span.readable(time.time_ns()))
        return own

    def may_fail(self) -> bool:
        """Take the place of a failure among those that are recorded though their traces are not."""
        now = time.monotonic()
        left = min(FAILURES_AT_ONCE, self._failures_left + (now - self._counted_at) * FAILURES_PER_SECOND)
        self._counted_at = now
        self._failures_left = left - 1 if left >= 1 else left
        return left >= 1

    def put(self, span: ReadableSpan) -> None:
        if self._otlp is not None:
            self._otlp.put(span)
        if self._exporter is not None:
            try:
                self._exporter.export((span,))
            except Exception as error:  # whatever it is: what was recorded has been done, and is not to fail for it
                log.warning("spans.not_exported", exc_info=error)


def _unsampled(parent: str) -> str:
    """The context of work that is not recorded: it goes by the name of its parent."""
    return parent if parent[_FLAGS_AT] == "00" and len(parent) == 55 else f"00{parent[2:53]}00"
