"""Spans and W3C trace context. One `Tracing` per service object, so that several services live in one process; no OTel globals.

The current context is one string, the `traceparent`, because that is what rides in headers, events and outbox rows. Every piece
of work has one, recorded or not: problem documents and messages show its trace id. Whoever begins a trace decides whether it is
recorded, the others follow the flag. What is not recorded costs about a microsecond and never touches the OpenTelemetry SDK.
"""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_ON

from shared.config import TelemetrySettings
from shared.errors import Failure
from shared.telemetry.redaction import span_attributes

Kind = Literal["internal", "server", "client", "producer", "consumer"]

FLUSH_SECONDS: Final = 3.0
_EXPORT_SECONDS: Final = 2.0
_KINDS: Final[Mapping[str, trace.SpanKind]] = {kind.name.lower(): kind for kind in trace.SpanKind}

# W3C Trace Context §3.2.2: lower-case hex; neither id all zeros, no version ff; later versions may carry more after the flags.
_TRACEPARENT: Final = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_FLAGS_AT: Final = slice(53, 55)
_SAMPLED_DIGITS: Final = "13579bdf"

_current: ContextVar[str | None] = ContextVar("traceparent", default=None)


def current_traceparent() -> str | None:
    """The context of the work at hand: what to send along with a request, an event, a row."""
    return _current.get()


def is_sampled(traceparent: str | None) -> bool:
    """True where the trace is being recorded."""
    return traceparent is not None and traceparent[54:55] in _SAMPLED_DIGITS and len(traceparent) >= 55


def trace_id_of(traceparent: str | None) -> str | None:
    """The 32 hex digits that name the trace."""
    return traceparent[3:35] if traceparent is not None else None


class Span(Protocol):
    """A piece of work being traced."""

    @property
    def traceparent(self) -> str:
        """This span as the parent of what it causes elsewhere."""
        ...

    def set(self, **attributes: object) -> None:
        """Add attributes; those not on the allow-list are dropped."""
        ...

    def fail(self, code: str) -> None:
        """Mark the work as failed. A code, never an exception's text."""
        ...


class SpanScope(Span, Protocol):
    """A span as a context manager. An exception that leaves the block fails it with its `Failure` code or its class's name."""

    def __enter__(self) -> Span: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


class Tracing:
    """The tracer of one service.

    Nothing is recorded without an `exporter` or an OTLP endpoint. A given exporter is called in line, at each span's end, and
    stays its giver's; it suits tests and spans kept in memory.
    """

    def __init__(self, service: str, settings: TelemetrySettings, exporter: SpanExporter | None = None) -> None:
        self._ratio = settings.sample_ratio
        self._provider: TracerProvider | None = None
        self._tracer: trace.Tracer | None = None
        self._otlp: OTLPSpanExporter | None = None
        if exporter is None and not settings.otlp_endpoint:
            return
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,  # decided here, before the SDK is entered
            resource=Resource({"service.name": service, "service.namespace": "chasqui"}),
            shutdown_on_exit=False,
        )
        if exporter is not None:
            self._provider.add_span_processor(_InLine(exporter))
        if settings.otlp_endpoint:
            endpoint = f"{settings.otlp_endpoint.rstrip('/')}/v1/traces"
            self._otlp = OTLPSpanExporter(endpoint=endpoint, timeout=_EXPORT_SECONDS)
            self._provider.add_span_processor(BatchSpanProcessor(self._otlp, max_queue_size=16_384))
        self._tracer = self._provider.get_tracer("chasqui")

    def close(self) -> None:
        """Flush what is recorded, for at most `FLUSH_SECONDS`; blocks, and loses the rest. Twice is safe."""
        provider, self._provider, self._tracer = self._provider, None, None
        if provider is None:
            return
        # The SDK waits up to 30 s for a collector that is away, and a daemon thread keeps no process alive.
        flush = threading.Thread(target=provider.shutdown, name="flush-spans", daemon=True)
        flush.start()
        flush.join(FLUSH_SECONDS)
        if flush.is_alive() and self._otlp is not None:
            # The rest is refused at once instead of tried.
            self._otlp.shutdown()  # type: ignore[no-untyped-call]  # the SDK left it so

    def span(
        self,
        name: str,
        *,
        kind: Kind = "internal",
        traceparent: str | None = None,
        attributes: Mapping[str, object] | None = None,
    ) -> SpanScope:
        """A span that is current within its block. It begins here, so enter it at once.

        `traceparent` comes from outside and may be anything: one that is malformed begins a new trace. None makes a child of
        the current span, or a new trace.
        """
        parent = _current.get() if traceparent is None else traceparent if _TRACEPARENT.fullmatch(traceparent) else None
        tracer = self._tracer
        if parent is None:
            if tracer is None or random.random() >= self._ratio:  # noqa: S311  # a sample is no secret
                return _Unrecorded(f"00-{random.getrandbits(128) or 1:032x}-{random.getrandbits(64) or 1:016x}-00")
            return _Recorded(tracer.start_span(name, Context(), _KINDS[kind]), attributes)
        if tracer is None or parent[54] not in _SAMPLED_DIGITS:
            return _Unrecorded(parent if parent[_FLAGS_AT] == "00" and len(parent) == 55 else f"00{parent[2:53]}00")
        return _Recorded(tracer.start_span(name, _remote(parent), _KINDS[kind]), attributes)

    def follow(
        self, name: str, traceparent: str | None, *, kind: Kind = "internal", attributes: Mapping[str, object] | None = None
    ) -> SpanScope:
        """A span of the trace that an event or a row came with. One that came with none, or with one that nobody records, begins
        none here and costs nothing; the `traceparent` of such a span is empty."""
        if not is_sampled(traceparent):
            return _UNTRACED
        return self.span(name, kind=kind, traceparent=traceparent, attributes=attributes)


class _Untraced:
    """Of no trace; one for all."""

    __slots__ = ()
    traceparent: Final = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, error: object, traceback: object, /) -> None:
        pass

    def set(self, **attributes: object) -> None:
        pass

    def fail(self, code: str) -> None:
        pass


_UNTRACED: Final = _Untraced()


class _Unrecorded:
    """Carries the context on and does nothing else."""

    __slots__ = ("_token", "traceparent")

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent

    def __enter__(self) -> Self:
        self._token = _current.set(self.traceparent)
        return self

    def __exit__(self, exc_type: object, error: object, traceback: object, /) -> None:
        _current.reset(self._token)

    def set(self, **attributes: object) -> None:
        pass

    def fail(self, code: str) -> None:
        pass


class _Recorded:
    """A span of the SDK behind the allow-list."""

    __slots__ = ("_span", "_token", "traceparent")

    def __init__(self, span: trace.Span, attributes: Mapping[str, object] | None) -> None:
        self._span = span
        self._token: Token[str | None] | None = None
        context = span.get_span_context()
        self.traceparent = f"00-{context.trace_id:032x}-{context.span_id:016x}-01"
        if attributes:
            self._set(attributes)

    def __enter__(self) -> Self:
        self._token = _current.set(self.traceparent)
        return self

    def __exit__(self, exc_type: object, error: BaseException | None, traceback: object, /) -> None:
        if self._token is not None:
            _current.reset(self._token)
        if error is not None:
            self.fail(error.code if isinstance(error, Failure) else type(error).__name__)
        self._span.end()

    def set(self, **attributes: object) -> None:
        self._set(attributes)

    def fail(self, code: str) -> None:
        self._set({"error.type": code})
        self._span.set_status(trace.StatusCode.ERROR)

    def _set(self, attributes: Mapping[str, object]) -> None:
        for name, value in span_attributes(attributes):
            self._span.set_attribute(name, value)


class _InLine(SpanProcessor):
    """Hands each span over when it ends. Does not shut the exporter down: several services may share it."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def on_end(self, span: ReadableSpan) -> None:
        spans: Sequence[ReadableSpan] = (span,)
        self._exporter.export(spans)


def _remote(traceparent: str) -> Context:
    parent = trace.SpanContext(
        trace_id=int(traceparent[3:35], 16),
        span_id=int(traceparent[36:52], 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(trace.TraceFlags.SAMPLED),
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(parent), Context())
