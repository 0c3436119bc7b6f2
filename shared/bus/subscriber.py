"""A subscription as a component of a service: its handler called with trace and log context."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Final

from structlog.contextvars import bound_contextvars

from shared.bus.interface import Bus, Handler, Settled, StopSignal, Subscription
from shared.bus.traced import TracedHandler
from shared.events.event import Event
from shared.run import Stage
from shared.telemetry.catalogue import (
    BUS_EVENT_AGE_SECONDS,
    BUS_EVENTS_IN_HAND,
    BUS_EVENTS_TOTAL,
    BUS_HANDLER_DURATION_SECONDS,
)
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

_CONTEXT_FIELDS: Final = ("tenant_id", "event_id", "message_id")


class Subscriber:
    """Consumes until told to stop; events are handled under spans as `traced` says."""

    stage = Stage.CONSUME

    def __init__(self, bus: Bus, subscription: Subscription, handler: Handler, tracing: Tracing, metrics: Metrics) -> None:
        self.name = f"{subscription.name}.subscriber"
        self._bus = bus
        self._subscription = subscription
        system = "memory" if bus.is_local else "rabbitmq"
        self._handler = TracedHandler(handler, subscription.name, tracing, system=system)
        self._metrics = metrics
        self._in_hand = 0
        metrics.set(BUS_EVENTS_IN_HAND, 0, subscription.name)
        for outcome in ("done", "retried", "dead"):
            metrics.count(BUS_EVENTS_TOTAL, subscription.name, outcome, by=0)

    async def run(self, stop: StopSignal) -> None:
        await self._bus.consume(self._subscription, self._handle, stop, self._count)

    def _count(self, settled: Settled) -> None:
        name = self._subscription.name
        self._metrics.count(BUS_EVENTS_TOTAL, name, "done", by=settled.done)
        if settled.retried:
            self._metrics.count(BUS_EVENTS_TOTAL, name, "retried", by=settled.retried)
        if settled.dead:
            self._metrics.count(BUS_EVENTS_TOTAL, name, "dead", by=settled.dead)
        self._metrics.observe(BUS_HANDLER_DURATION_SECONDS, settled.seconds, name)

    def _count_in_hand(self, change: int) -> None:
        self._in_hand += change
        self._metrics.set(BUS_EVENTS_IN_HAND, self._in_hand, self._subscription.name)

    async def _handle(self, events: Sequence[Event]) -> None:
        context: Mapping[str, object] = {"subscription": self._subscription.name}
        if len(events) == 1:
            context = {**context, **_fields(events[0])}
        self._count_in_hand(len(events))
        try:
            with bound_contextvars(**context):
                await self._handler(events)
        finally:
            self._count_in_hand(-len(events))
        age = time.time() - events[0].occurred_at.timestamp()
        self._metrics.observe(BUS_EVENT_AGE_SECONDS, max(0.0, age), self._subscription.name, times=len(events))


def _fields(event: Event) -> dict[str, str]:
    """Ids worth finding a log line by."""
    fields = {name: value for name in _CONTEXT_FIELDS if isinstance(value := getattr(event, name, None), str)}
    return fields if event.traceparent is None else {**fields, "trace_id": event.traceparent[3:35]}
