"""Events in: which go to which function, and when a failed one comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.gateway.track import track
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.outbox import Outbox
from shared.bus.subscriber import Subscriber
from shared.events.catalogue import (
    MessageCanceled,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageReleased,
    MessageSent,
    MessageUnsettled,
)
from shared.events.event import Event
from shared.telemetry.tracing import Tracing

# A bug or a poisoned row: about eight minutes for a rollback before the event is set aside as a dead letter.
_POLICY: Final = RetryPolicy(schedule_seconds=(1, 5, 30, 120, 300))

TRACK: Final = Subscription(
    "gateway.track",
    (
        MessageReleased,
        MessageSent,
        MessageFailed,
        MessageDeferred,
        MessageUnsettled,
        MessageCanceled,
        MessageExpired,
    ),
    _POLICY,
    concurrency=1,  # two would wait for each other's rows: released and sent of one message come close together
    max_events=1_024,  # the more of a message's states come together, the fewer rows are written
)
SUBSCRIPTIONS: Final = (TRACK,)


def subscribers(bus: Bus, outbox: Outbox, tracing: Tracing) -> Sequence[Subscriber]:
    """One subscriber per subscription."""

    async def on_told(events: Sequence[Event]) -> None:
        await track(outbox, events)

    return [Subscriber(bus, TRACK, on_told, tracing)]
