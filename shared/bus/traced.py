"""A batch of events handled under spans.

An event whose trace is recorded is handled under a span of its own, a child of what caused it: so the trace of a message is one
tree. Several events handled in one call have that call in common: it is a span too, the first of a trace of its own, linked to what
caused each of them, and each of theirs to it (OpenTelemetry, messaging spans: one consumer span a batch cannot have many parents).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from shared.bus.interface import Handler
from shared.errors import BatchFailed, Failure, Retry
from shared.events.event import Event
from shared.telemetry.tracing import Span, SpanScope, Tracing

SHOWN_FIELDS: Final = ("tenant_id", "event_id", "message_id", "attempt", "code", "status")


class TracedHandler:
    """A subscription's handler. Each recorded event is handed to it with its own span as trace context; events nobody traces cost
    nothing until they fail."""

    def __init__(self, handler: Handler, subscription: str, tracing: Tracing, *, system: str) -> None:
        """`system` is the bus's name in the conventions."""
        self._handler = handler
        self._tracing = tracing
        self._name = f"process {subscription}"
        self._batch_name = f"process batch {subscription}"
        self._attributes: Mapping[str, object] = {
            "messaging.system": system,
            "messaging.operation.name": "process",
            "messaging.operation.type": "process",
            "messaging.destination.name": subscription,
        }

    async def __call__(self, events: Sequence[Event]) -> None:
        """Raises what the handler raises."""
        if any(event.traceparent for event in events):
            await self._handle_traced(events)
            return
        began = time.monotonic()
        try:
            await self._handler(events)
        except BatchFailed as failed:
            for event in events:
                if (failure := failed.failures.get(event.event_id)) is not None and _counts(failure):
                    self._record_failure(event, failure, began, 1)
            raise
        except Exception as error:
            if _counts(error):
                self._record_failure(events[0], error, began, len(events))
            raise

    def _record_failure(self, event: Event, error: Exception, began: float, count: int) -> None:
        self._tracing.failed(
            self._name,
            _code_of(error),
            getattr(event, "message_id", None) or event.event_id,
            seconds=time.monotonic() - began,
            kind="consumer",
            attributes={**self._attributes_of(event), "messaging.batch.message_count": count},
        )

    async def _handle_traced(self, events: Sequence[Event]) -> None:
        partial: BatchFailed | None = None
        with ExitStack() as stack:
            batch = self._batch_of(events) if len(events) > 1 else None
            spans: dict[str, Span] = {}
            handed = []
            for event in events:
                if event.traceparent is None:
                    handed.append(event)
                    continue
                span = stack.enter_context(
                    self._tracing.span(
                        self._name, kind="consumer", traceparent=event.traceparent, attributes=self._attributes_of(event)
                    )
                )
                spans[event.event_id] = span
                if batch is not None:
                    span.link(batch.traceparent)
                    batch.link(event.traceparent)
                handed.append(event.model_copy(update={"traceparent": span.traceparent}))
            if batch is not None:
                stack.enter_context(batch)  # the last, so that it is the one that is current
            try:
                await self._handler(handed)
            except BatchFailed as failed:  # leaves the block another way: the spans of the others did not fail
                partial = failed
                for event_id, failure in failed.failures.items():
                    if event_id in spans:
                        spans[event_id].fail(failure.code)
                if batch is not None:
                    batch.set(failed=len(failed.failures))
        if partial is not None:
            raise partial

    def _batch_of(self, events: Sequence[Event]) -> SpanScope:
        return self._tracing.span(
            self._batch_name,
            kind="consumer",
            traceparent="",  # none of theirs: it begins a trace
            attributes={
                **self._attributes,
                "subject": events[0].subject(),
                "messaging.batch.message_count": len(events),
            },
            record=True,
        )

    def _attributes_of(self, event: Event) -> Mapping[str, object]:
        shown = {name: value for name in SHOWN_FIELDS if (value := getattr(event, name, None)) is not None}
        return {**self._attributes, "subject": event.subject(), **shown}


def _counts(error: Exception) -> bool:
    """Whether it is worth a place among the failures: coming too early, or while a service starts, is part of every day."""
    return not isinstance(error, Retry) or error.counted


def _code_of(error: Exception) -> str:
    return error.code if isinstance(error, Failure) else type(error).__name__
