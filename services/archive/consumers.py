"""Events in: everything that can be read later, to one function."""

from __future__ import annotations

from typing import Final

from services.archive.record import Recorder
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.subscriber import Subscriber
from shared.events.catalogue import (
    MessageCanceled,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageReceived,
    MessageReleased,
    MessageSent,
    MessageStatusChanged,
    MessageUnsettled,
)
from shared.telemetry.tracing import Tracing

RECORD: Final = Subscription(
    "archive.record",
    (
        MessageReleased,
        MessageSent,
        MessageFailed,
        MessageDeferred,
        MessageUnsettled,
        MessageCanceled,
        MessageExpired,
        MessageStatusChanged,
        MessageReceived,
    ),
    # A bug or a row that cannot be stored: about eight minutes for a rollback before the event is set aside as a dead letter.
    RetryPolicy(schedule_seconds=(1, 5, 30, 120, 300)),
    # The more facts about a message come together, the fewer rows are written. One batch at a time: the next one gathers meanwhile.
    prefetch=64,
    max_events=4_096,
)
SUBSCRIPTIONS: Final = (RECORD,)


def subscriber(bus: Bus, recorder: Recorder, tracing: Tracing) -> Subscriber:
    """The one consumer."""
    return Subscriber(bus, RECORD, recorder.record, tracing)
