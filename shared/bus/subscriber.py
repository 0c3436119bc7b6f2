"""A subscription as a component of a service: its handler called with trace and log context."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from structlog.contextvars import bound_contextvars

from shared.bus.interface import Bus, Handler, StopSignal, Subscription
from shared.errors import BatchFailed
from shared.events.event import Event
from shared.run import Stage
from shared.telemetry.tracing import Span, SpanScope, Tracing

_CONTEXT_FIELDS: Final = ("tenant_id", "event_id", "message_id")


class Subscriber:
    """Consumes until told to stop. Each event whose trace is recorded is handled under a span of its own, a child of what caused
    it, and is handed on with that span as its trace context. Events nobody traces cost nothing."""

    stage = Stage.CONSUME

    def __init__(self, bus: Bus, subscription: Subscription, handler: Handler, tracing: Tracing) -> None:
        self.name = f"{subscription.name}.subscriber"
        self._bus = bus
        self._subscription = subscription
        self._handler = handler
        self._tracing = tracing

    async def run(self, stop: StopSignal) -> None:
        await self._bus.consume(self._subscription, self._handle, stop)

    async def _handle(self, events: Sequence[Event]) -> None:
        context: Mapping[str, object] = {"subscription": self._subscription.name}
        if len(events) == 1:
            context = {**context, **_fields(events[0])}
        with bound_contextvars(**context):
            if any(event.traceparent for event in events):
                await self._handle_traced(events)
            else:
                await self._handler(events)

    async def _handle_traced(self, events: Sequence[Event]) -> None:
        partial: BatchFailed | None = None
        with ExitStack() as stack:
            spans: dict[str, Span] = {}
            handed = []
            for event in events:
                if event.traceparent is None:
                    handed.append(event)
                    continue
                span = stack.enter_context(self._span(event))
                spans[event.event_id] = span
                handed.append(event.model_copy(update={"traceparent": span.traceparent}))
            try:
                await self._handler(handed)
            except BatchFailed as failed:  # leaves the block another way: the spans of the others did not fail
                partial = failed
                for event_id, failure in failed.failures.items():
                    if event_id in spans:
                        spans[event_id].fail(failure.code)
        if partial is not None:
            raise partial

    def _span(self, event: Event) -> SpanScope:
        return self._tracing.span(
            f"process {self._subscription.name}",
            kind="consumer",
            traceparent=event.traceparent,
            attributes={
                "messaging.system": "memory" if self._bus.is_local else "rabbitmq",
                "messaging.operation.type": "process",
                "messaging.destination.name": self._subscription.name,
                "subject": event.subject(),
                **_fields(event),
            },
        )


def _fields(event: Event) -> dict[str, str]:
    """Ids worth finding a log line or a span by."""
    return {name: value for name in _CONTEXT_FIELDS if isinstance(value := getattr(event, name, None), str)}
