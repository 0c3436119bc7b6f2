"""The way of spans to a collector: the SDK's batch processor and OTLP exporter, in a thread, and what those two do not do.

They do not say how many spans they lose, they tell the log about each, and at the end they may wait for half a minute.

The SDK reads from the environment what is not settled here: OTEL_EXPORTER_OTLP_{CERTIFICATE,CLIENT_CERTIFICATE,CLIENT_KEY},
OTEL_EXPORTER_OTLP_COMPRESSION, OTEL_EXPORTER_OTLP_TIMEOUT (seconds for a batch with all its tries; 10), and proxies.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

log = structlog.get_logger(__name__)

MAX_WAITING: Final = 8_192
"""Spans, some 10 MB. What comes while so many wait is lost: a collector that is away or slow slows nobody down."""
BATCH: Final = 128
"""Spans. Encoding them takes 4 ms in which the interpreter is the thread's: longer batches would hold up the event loop."""
LINGER_MS: Final = 1_000
TELL_SECONDS: Final = 30.0
STALL_SECONDS: Final = 1.0
"""A collector that at the end takes nothing for so long refuses, hangs or has ended before us: nobody waits for it any longer."""


class _Counted(SpanExporter):
    """An exporter that says how many spans it has passed on; after `shutdown`, which may be called from another thread, none."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._is_shut = False
        self._told_at = float("-inf")
        self.exported = 0
        self.lost = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = SpanExportResult.FAILURE
        try:
            if not self._is_shut:
                result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self.exported += len(spans)
            else:
                self.lost += len(spans)
                self._tell()
        return result

    def shutdown(self) -> None:
        if not self._is_shut:
            self._is_shut = True
            self._exporter.shutdown()

    def _tell(self) -> None:
        if (now := time.monotonic()) - self._told_at > TELL_SECONDS:
            self._told_at = now
            log.warning("spans.lost", lost=self.lost, exported=self.exported)


class OtlpSink:
    """Takes spans and sends them some time. Never blocks, keeps at most `MAX_WAITING`, and loses the rest."""

    def __init__(self, endpoint: str, headers: Mapping[str, str]) -> None:
        """`endpoint` is the collector's base URL, as in OTEL_EXPORTER_OTLP_ENDPOINT."""
        self._exporter = _Counted(OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", headers=headers))
        self._processor = BatchSpanProcessor(
            self._exporter, max_queue_size=MAX_WAITING, schedule_delay_millis=LINGER_MS, max_export_batch_size=BATCH
        )
        self._taken = 0
        self._refused = 0  # each count is one thread's: adding to one from two would forget some
        self._is_closed = False

    @property
    def exported(self) -> int:
        return self._exporter.exported

    @property
    def lost(self) -> int:
        """Spans for which there was no room, and those that the collector did not take."""
        return self._refused + self._exporter.lost

    def put(self, span: ReadableSpan) -> None:
        # Counted here, before the processor's own queue is full: that would log a line per span.
        if self._is_closed or self._taken - self._exporter.exported - self._exporter.lost >= MAX_WAITING:
            self._refused += 1
            return
        self._taken += 1
        self._processor.on_end(span)

    def close(self, seconds: float) -> None:
        """Send what waits, for at most so long and while the collector takes some; blocks, and loses the rest. Twice is safe."""
        if self._is_closed:
            return
        self._is_closed = True
        # The processor waits up to 30 s for a collector that is away, and a daemon thread keeps no process alive.
        flush = threading.Thread(target=self._processor.shutdown, name="flush-spans", daemon=True)
        flush.start()
        end = time.monotonic() + seconds
        before = -1
        while flush.is_alive() and self.exported > before and time.monotonic() < end:
            before = self.exported
            flush.join(min(STALL_SECONDS, end - time.monotonic()))
        self._exporter.shutdown()
