"""Events in: which go to which function, and when a failed one comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, cast

from services.sender import inbound, numbers, reconcile, uploads
from services.sender.callbacks.app import Callbacks
from services.sender.deliver import Delivery
from services.sender.numbers import Numbers
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.outbox import Outbox
from shared.bus.subscriber import Subscriber
from shared.clock import Clock
from shared.events.catalogue import (
    MediaDeleted,
    MediaStored,
    MessageConfirmed,
    MessageReceived,
    MessageReleased,
    NumberConnected,
    UpdateTold,
)
from shared.events.event import Event
from shared.limits.limiter import Limiter
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

# A bug or a poisoned row: about eight minutes for a rollback before the event is set aside as a dead letter. The scheduler tells a
# release again that has no outcome, so a dead letter loses no message.
_POLICY: Final = RetryPolicy(schedule_seconds=(1, 5, 30, 120, 300))

DELIVER: Final = Subscription("sender.deliver", (MessageReleased,), _POLICY, concurrency=4)
CONFIRM: Final = Subscription("sender.confirm", (MessageConfirmed,), _POLICY)
NUMBERS: Final = Subscription("sender.numbers", (NumberConnected,), _POLICY)
# What an inbound message takes from its number's rate is of interest for seconds: one try more, then it is not counted.
INBOUND: Final = Subscription("sender.inbound", (MessageReceived,), RetryPolicy(schedule_seconds=(1,)), max_events=1_024)
CALLBACKS: Final = Subscription("sender.callbacks", (UpdateTold,), _POLICY, concurrency=2)
MEDIA: Final = Subscription("sender.media", (MediaStored, MediaDeleted), _POLICY)
SUBSCRIPTIONS: Final = (DELIVER, CONFIRM, NUMBERS, INBOUND, CALLBACKS, MEDIA)


def subscribers(
    bus: Bus,
    outbox: Outbox,
    tracing: Tracing,
    metrics: Metrics,
    delivery: Delivery,
    directory: Numbers,
    limiter: Limiter,
    clock: Clock,
    callbacks: Callbacks,
) -> Sequence[Subscriber]:
    """One subscriber per subscription."""

    async def on_released(events: Sequence[Event]) -> None:
        await delivery.take(cast("Sequence[MessageReleased]", events))

    async def on_confirmed(events: Sequence[Event]) -> None:
        await reconcile.confirm(outbox, cast("Sequence[MessageConfirmed]", events))

    async def on_number(events: Sequence[Event]) -> None:
        await numbers.know(outbox, directory, cast("Sequence[NumberConnected]", events))

    async def on_received(events: Sequence[Event]) -> None:
        await inbound.count(directory, limiter, cast("Sequence[MessageReceived]", events), clock.now())

    async def on_told(events: Sequence[Event]) -> None:
        await callbacks.tell(cast("Sequence[UpdateTold]", events))

    async def on_file(events: Sequence[Event]) -> None:
        await uploads.know(outbox, cast("Sequence[MediaStored | MediaDeleted]", events))

    handlers = (
        (DELIVER, on_released),
        (CONFIRM, on_confirmed),
        (NUMBERS, on_number),
        (INBOUND, on_received),
        (CALLBACKS, on_told),
        (MEDIA, on_file),
    )
    return [Subscriber(bus, subscription, handler, tracing, metrics) for subscription, handler in handlers]
