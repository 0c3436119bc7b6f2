"""Events in: everything that can be read later, to one function."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from services.archive.record import Recorder
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.subscriber import Subscriber
from shared.clock import Clock
from shared.events.catalogue import (
    MediaLost,
    MediaStored,
    MessageCanceled,
    MessageDeferred,
    MessageEchoed,
    MessageEdited,
    MessageExpired,
    MessageFailed,
    MessageReceived,
    MessageReleased,
    MessageRevoked,
    MessageSent,
    MessageStatusChanged,
    MessageUnsettled,
)
from shared.events.event import Event
from shared.telemetry.catalogue import ENTRIES_RECORDED_TOTAL, RECORD_LAG_SECONDS
from shared.telemetry.metrics import Metrics
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
        MessageEchoed,
        MessageEdited,
        MessageRevoked,
        MediaStored,
        MediaLost,
    ),
    # A bug or a row that cannot be stored: about eight minutes for a rollback before the event is set aside as a dead letter.
    RetryPolicy(schedule_seconds=(1, 5, 30, 120, 300)),
    # The more facts about a message come together, the fewer rows are written. One batch at a time: the next one gathers meanwhile.
    prefetch=256,
    max_events=4_096,
)
SUBSCRIPTIONS: Final = (RECORD,)

BUSY_EVENTS: Final = 256
GATHER_SECONDS: Final = 0.1
"""After a batch of so many events the next has so long to come together, unless this one was half full already: then more waits. So
many deliveries as are fetched ahead in this time are more than one consumer could settle, so nothing is held up."""


def subscriber(bus: Bus, recorder: Recorder, tracing: Tracing, metrics: Metrics, clock: Clock) -> Subscriber:
    """The one consumer."""

    async def on_told(events: Sequence[Event]) -> None:
        for kind, count in (await recorder.record(events)).items():
            metrics.count(ENTRIES_RECORDED_TOTAL, kind, by=count)
        lag = clock.now() - min(event.occurred_at for event in events)
        metrics.observe(RECORD_LAG_SECONDS, max(0.0, lag.total_seconds()))
        if BUSY_EVENTS <= len(events) < RECORD.max_events // 2:
            await asyncio.sleep(GATHER_SECONDS)

    return Subscriber(bus, RECORD, on_told, tracing, metrics)
