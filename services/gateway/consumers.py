"""Events in: which go to which function, and when a failed one comes back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.gateway.connections import Connections
from services.gateway.expand import answer
from services.gateway.live.streams import Streams
from services.gateway.requested import Requests
from services.gateway.track import track
from services.gateway.updates import Updates, learn_watched
from services.gateway.webhooks.spool import Spool
from shared.bus.interface import Bus, RetryPolicy, Subscription
from shared.bus.outbox import Outbox
from shared.bus.subscriber import Subscriber
from shared.events.catalogue import (
    AudienceWanted,
    CallbacksWatched,
    MessageCanceled,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageHeld,
    MessageRefused,
    MessageRequested,
    MessageSent,
    MessageSuppressed,
    MessageUnsettled,
    NumberPaused,
    UpdateTold,
    WebhookSpooled,
)
from shared.events.event import Event
from shared.telemetry.catalogue import MESSAGE_STATUSES_TOTAL
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

# A bug or a poisoned row: about eight minutes for a rollback before the event is set aside as a dead letter.
_POLICY: Final = RetryPolicy(schedule_seconds=(1, 5, 30, 120, 300))

TRACK: Final = Subscription(
    "gateway.track",
    (
        MessageSent,
        MessageFailed,
        MessageDeferred,
        MessageUnsettled,
        MessageCanceled,
        MessageExpired,
        MessageSuppressed,
        MessageRefused,
        MessageHeld,
    ),
    _POLICY,
    concurrency=1,  # two would wait for each other's rows: what is told of one message comes close together
    max_events=1_024,  # the more of a message's states come together, the fewer rows are written
)
REQUESTED: Final = Subscription("gateway.requested", (MessageRequested,), _POLICY, max_events=1_024)
AUDIENCE: Final = Subscription("gateway.audience", (AudienceWanted,), _POLICY, max_events=8)  # a page takes a while
NUMBERS: Final = Subscription("gateway.numbers", (NumberPaused,), _POLICY)
WEBHOOKS: Final = Subscription("gateway.webhooks", (WebhookSpooled,), _POLICY, prefetch=8)  # of 3 MB each, it may be
WATCHED: Final = Subscription("gateway.watched", (CallbacksWatched,), _POLICY)
LIVE: Final = Subscription("gateway.live", (UpdateTold,), _POLICY, max_events=1_024)
SUBSCRIPTIONS: Final = (TRACK, REQUESTED, AUDIENCE, NUMBERS, WATCHED, LIVE, WEBHOOKS)


def subscribers(
    bus: Bus,
    outbox: Outbox,
    connections: Connections,
    requests: Requests,
    updates: Updates,
    streams: Streams,
    spool: Spool,
    tracing: Tracing,
    metrics: Metrics,
) -> Sequence[Subscriber]:
    """One subscriber per subscription."""

    async def on_told(events: Sequence[Event]) -> None:
        for status, messages in (await track(outbox, events, updates)).items():
            metrics.count(MESSAGE_STATUSES_TOTAL, status.value, by=messages)

    async def on_requested(events: Sequence[Event]) -> None:
        await requests.take([event for event in events if isinstance(event, MessageRequested)])

    async def on_audience(events: Sequence[Event]) -> None:
        await answer(outbox, [event for event in events if isinstance(event, AudienceWanted)])

    async def on_number(events: Sequence[Event]) -> None:
        async with outbox.transaction() as unit:
            for event in events:
                if isinstance(event, NumberPaused):
                    await connections.pause_by_provider(unit, event)

    async def on_watched(events: Sequence[Event]) -> None:
        await learn_watched(outbox, [event for event in events if isinstance(event, CallbacksWatched)])

    async def on_update(events: Sequence[Event]) -> None:
        await streams.add([event for event in events if isinstance(event, UpdateTold)])

    async def on_spooled(events: Sequence[Event]) -> None:
        await spool.bring_back([event for event in events if isinstance(event, WebhookSpooled)])

    return [
        Subscriber(bus, TRACK, on_told, tracing, metrics),
        Subscriber(bus, REQUESTED, on_requested, tracing, metrics),
        Subscriber(bus, AUDIENCE, on_audience, tracing, metrics),
        Subscriber(bus, NUMBERS, on_number, tracing, metrics),
        Subscriber(bus, WATCHED, on_watched, tracing, metrics),
        Subscriber(bus, LIVE, on_update, tracing, metrics),
        Subscriber(bus, WEBHOOKS, on_spooled, tracing, metrics),
    ]
