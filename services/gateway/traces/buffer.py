"""Spans between their end and the database: a bounded number of them, for nothing may ever wait for a span."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span as OtlpSpan
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import StatusCode

from services.gateway.traces.span import Span, of_otlp, of_sdk, sent

ROOM: Final = 8_000
_ALL: Final = 1 << 32
_SMALLEST: Final = _ALL >> 12
LOOKS: Final = frozenset({"GET /admin/traces", "GET /admin/traces/{trace_id}", "GET /traces", "GET /traces/{trace_id}"})
"""Who looks at traces is no trace: a page that refreshes would push out what it shows."""


class SpanBuffer(SpanExporter):
    """Takes spans from any thread, the SDK's and OTLP's; gives them to whoever writes them.

    While more come than are taken, only a share of the *traces* is let in, by a part of their id that is random, so that those that
    are kept are whole; the share halves as long as the room runs short, and doubles again when it does not. Failed spans are let in
    as long as there is any room. What is not let in is counted and gone.
    """

    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._waiting: deque[ReadableSpan | tuple[str, OtlpSpan]] = deque()
        self._limit = _ALL
        self._is_short = False
        self._lost = 0

    @property
    def share(self) -> float:
        """Of the traces, how many are let in now."""
        return self._limit / _ALL

    def __len__(self) -> int:
        return len(self._waiting)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        for span in spans:
            context = span.get_span_context()
            if context is None or span.name in LOOKS:
                continue
            if self._has_room(context.trace_id & (_ALL - 1), failed=span.status.status_code is StatusCode.ERROR):
                self._waiting.append(span)
        return SpanExportResult.SUCCESS

    def receive(self, request: ExportTraceServiceRequest) -> None:
        """Spans of another process."""
        for service, span in sent(request):
            if span.name in LOOKS:
                continue
            trace = int.from_bytes(span.trace_id[-4:], "big")
            if self._has_room(trace, failed=span.status.code == Status.STATUS_CODE_ERROR):
                self._waiting.append((service, span))

    def take(self, limit: int) -> list[Span]:
        """The oldest so many; one that cannot be kept is lost."""
        found: list[Span] = []
        for _ in range(min(limit, len(self._waiting))):
            waiting = self._waiting.popleft()
            try:
                found.append(of_otlp(*waiting) if isinstance(waiting, tuple) else of_sdk(waiting))
            except (ValueError, TypeError, OverflowError):
                self._lost += 1
        return found

    def adjust(self) -> int:
        """To be called after each `take`: decides the share anew. Returns how many spans were lost since the last call."""
        if self._is_short or len(self._waiting) > self._room // 2:
            self._limit = max(_SMALLEST, self._limit // 2)
        elif len(self._waiting) < self._room // 8:
            self._limit = min(_ALL, self._limit * 2)
        self._is_short = False
        lost, self._lost = self._lost, 0
        return lost

    def _has_room(self, trace: int, *, failed: bool) -> bool:
        if len(self._waiting) >= self._room:
            self._is_short = True
        elif trace < self._limit or failed:
            return True
        self._lost += 1
        return False
