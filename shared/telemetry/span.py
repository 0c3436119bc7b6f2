"""What a piece of work says of itself while it lasts. The one that is not recorded keeps what it takes to change its mind, which
the SDK's spans cannot; one that is recorded becomes the SDK's when it ends."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Final, Literal, Protocol, Self

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.util import BoundedList
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from shared.errors import Failure
from shared.telemetry.redaction import span_attributes
from shared.version import VERSION

Kind = Literal["internal", "server", "client", "producer", "consumer"]

MAX_EVENTS: Final = 64
MAX_LINKS: Final = 256
"""Of one span, the latest; the exported span says how many there were more."""

_SCOPE: Final = InstrumentationScope("chasqui", VERSION)
_KINDS: Final[Mapping[Kind, SpanKind]] = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}
_UNSET: Final = Status()
_FAILED: Final = Status(StatusCode.ERROR)
_SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)
# W3C Trace Context §3.2.2: lower-case hex; neither id all zeros, no version ff; later versions may carry more after the flags.
TRACEPARENT: Final = re.compile(r"(?!ff|00.{54})[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?")
_ODD: Final = (1 << 64) | 1
"""Keeps random ids from being all zeros, which W3C Trace Context forbids."""
_bits: Final = random.getrandbits  # ids are unique, not secret


class Span(Protocol):
    """A piece of work being traced."""

    @property
    def traceparent(self) -> str:
        """This span as the parent of what it causes elsewhere; read it again after `fail`, which may have begun the recording."""
        ...

    def set(self, **attributes: object) -> None:
        """Add attributes; those not on the allow-list are dropped."""
        ...

    def event(self, name: str, **attributes: object) -> None:
        """Something that happened at this moment; the attributes are those of the same allow-list."""
        ...

    def link(self, traceparent: str | None) -> None:
        """Name a span that has to do with this one without being what caused it; what is no traceparent names none."""
        ...

    def began(self, seconds: float) -> None:
        """It began so long ago."""
        ...

    def fail(self, code: str) -> None:
        """Mark the work as failed. A code, never an exception's text. It is recorded then, even if nobody wanted its trace."""
        ...


class SpanScope(Span, Protocol):
    """A span as a context manager. An exception that leaves the block fails it with its `Failure` code or its class's name; being
    cancelled is no failure."""

    def __enter__(self) -> Span: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None, /
    ) -> None: ...


Carried = Span
"""What is current: anything that has a traceparent."""
current: Final[ContextVar[Carried | None]] = ContextVar("span", default=None)


class Untraced:
    """Of no trace; one for all."""

    __slots__ = ()
    traceparent: Final = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: object, error: object, traceback: object, /) -> None:
        pass

    def set(self, **attributes: object) -> None:
        pass

    def event(self, name: str, **attributes: object) -> None:
        pass

    def link(self, traceparent: str | None) -> None:
        pass

    def began(self, seconds: float) -> None:
        pass

    def fail(self, code: str) -> None:
        pass


class Unrecorded(Untraced):
    """Carries the context on and does nothing else, where nothing can be recorded."""

    __slots__ = ("_token", "traceparent")

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent  # type: ignore[misc]  # of its own, unlike its parent's

    def __enter__(self) -> Self:
        self._token = current.set(self)
        return self

    def __exit__(self, exc_type: object, error: object, traceback: object, /) -> None:
        current.reset(self._token)


class Recorder(Protocol):
    """Whom spans belong to."""

    @property
    def resource(self) -> Resource:
        """The service."""
        ...

    def put(self, span: ReadableSpan) -> None:
        """Take one that has ended."""
        ...

    def may_fail(self) -> bool:
        """Whether a failure may begin a recording just now; True takes its place."""
        ...


class Recordable:
    """A span of a process that records. Until it is, it costs little more than its start time."""

    __slots__ = (
        "_attributes",
        "_events",
        "_has_ended",
        "_is_failed",
        "_kind",
        "_links",
        "_name",
        "_parent",
        "_recorder",
        "_started_ns",
        "_token",
        "is_recorded",
        "traceparent",
    )

    def __init__(
        self,
        name: str,
        kind: Kind,
        parent: Carried | str | None,
        traceparent: str,
        attributes: Mapping[str, object] | None,
        recorder: Recorder,
        is_recorded: bool,  # noqa: FBT001  # by name it would cost a twentieth of the whole
    ) -> None:
        """`parent` is the enclosing span, a foreign traceparent, or None for a root, which has its own id in its `traceparent`."""
        self._name = name
        self._kind: Kind = kind
        self._parent = parent
        self.traceparent = traceparent
        self.is_recorded = is_recorded
        self._attributes: list[Mapping[str, object]] = [] if attributes is None else [attributes]
        self._recorder = recorder
        self._events: BoundedList[Event] | None = None
        self._links: BoundedList[Link] | None = None
        self._is_failed = self._has_ended = False
        self._started_ns = time.time_ns()

    def __enter__(self) -> Self:
        self._token: Token[Carried | None] = current.set(self)
        return self

    def __exit__(self, exc_type: object, error: BaseException | None, traceback: object, /) -> None:
        current.reset(self._token)
        if error is not None and not isinstance(error, asyncio.CancelledError | GeneratorExit):
            self.fail(error.code if isinstance(error, Failure) else type(error).__name__)
        self._has_ended = True
        if self.is_recorded:
            self._recorder.put(self.readable(time.time_ns()))

    def set(self, **attributes: object) -> None:
        self._attributes.append(attributes)

    def event(self, name: str, **attributes: object) -> None:
        if self._events is None:
            self._events = BoundedList(MAX_EVENTS)
        self._events.append(Event(name, dict(span_attributes(attributes)), time.time_ns()))

    def link(self, traceparent: str | None) -> None:
        if traceparent and TRACEPARENT.fullmatch(traceparent):
            if self._links is None:
                self._links = BoundedList(MAX_LINKS)
            self._links.append(Link(_context(traceparent, is_remote=True)))

    def fail(self, code: str) -> None:
        self._attributes.append({"error.type": code})
        self._is_failed = True
        if not self.is_recorded and self._recorder.may_fail():
            self.record()

    def began(self, seconds: float) -> None:
        self._started_ns = time.time_ns() - round(seconds * 1e9)

    def record(self) -> None:
        """Be recorded after all, and so be whatever encloses it and goes on still."""
        if self.is_recorded or self._has_ended:
            return
        parent = self._parent
        if isinstance(parent, Recordable):
            parent.record()
        self.is_recorded = True
        if parent is None:
            self.traceparent = f"{self.traceparent[:53]}01"
        else:  # until now it went by the name of its parent
            self.traceparent = child_of(traceparent_of(parent))

    def readable(self, ended_ns: int) -> ReadableSpan:
        """As the SDK's processors and exporters take it."""
        parent = self._parent
        shown: dict[str, str | int | float | bool] = {}
        for attributes in self._attributes:
            shown.update(span_attributes(attributes))
        return ReadableSpan(
            name=self._name,
            context=_context(self.traceparent, is_remote=False),
            parent=None if parent is None else _context(traceparent_of(parent), is_remote=isinstance(parent, str)),
            resource=self._recorder.resource,
            attributes=shown,
            events=self._events or (),
            links=self._links or (),
            kind=_KINDS[self._kind],
            status=_FAILED if self._is_failed else _UNSET,
            start_time=self._started_ns,
            end_time=max(ended_ns, self._started_ns),
            instrumentation_scope=_SCOPE,
        )


def _context(traceparent: str, *, is_remote: bool) -> SpanContext:
    return SpanContext(int(traceparent[3:35], 16), int(traceparent[36:52], 16), is_remote, _SAMPLED)


def traceparent_of(parent: Carried | str) -> str:
    return parent if isinstance(parent, str) else parent.traceparent


def new_root(*, is_recorded: bool) -> str:
    """The traceparent of a new trace."""
    digits = "%048x" % (_bits(192) | _ODD)
    return f"00-{digits[:32]}-{digits[32:]}-{'01' if is_recorded else '00'}"


def root_of(trace_id: str) -> str:
    """The traceparent of a recorded span that is the first of that trace."""
    return f"00-{trace_id}-{_bits(64) | 1:016x}-01"


def child_of(parent: str) -> str:
    """The traceparent of a recorded span under this one."""
    return f"00-{parent[3:35]}-{_bits(64) | 1:016x}-01"
