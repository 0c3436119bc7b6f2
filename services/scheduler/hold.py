"""Take messages into custody, and let go of them again when they are canceled."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.scheduler.conclude import End, conclude
from services.scheduler.domain.gate import LONGEST_GATE, closings
from services.scheduler.domain.settlement import settlements, unconfirmed
from services.scheduler.runs import withdraw_unwanted
from services.scheduler.store import gates, holds
from shared.bus import inbox
from shared.bus.outbox import Outbox
from shared.errors import BatchFailed, Permanent, Retry
from shared.events.catalogue import (
    MessageAccepted,
    MessageCanceled,
    MessageCancelRequested,
    MessageDeferred,
    MessageFailed,
    MessageSent,
    NumberConnected,
)
from shared.events.event import Event
from shared.ids import EventId

SUBSCRIPTION: Final = "scheduler.hold"
CANCELED: Final = "message.canceled"
CANCEL_PATIENCE: Final = timedelta(seconds=20)
"""A cancellation can overtake its message; past this age a message without a hold is one that has left."""


async def hold(outbox: Outbox, accepted: Sequence[MessageAccepted], wake: Callable[[], None]) -> None:
    """Hold the messages until they are due; `wake` tells the release that some may be due now. What its run does not want any more
    is let go of at once.

    A hold goes when its message has ended, so the inbox has to know that an acceptance told again is of the past.
    """
    async with outbox.transaction() as unit:
        new = await inbox.unseen(unit.connection, SUBSCRIPTION, accepted)
        await holds.insert(unit.connection, new)
        await withdraw_unwanted(unit, {event.message_id: event.run_id for event in new})
    wake()


async def know_numbers(outbox: Outbox, events: Sequence[NumberConnected], wake: Callable[[], None]) -> None:
    """Keep the windows of the numbers and whether they are paused; messages of a number wait until it is known."""
    async with outbox.transaction() as unit:
        for event in sorted(events, key=lambda event: event.number_id):
            await holds.upsert_number(unit.connection, event)
    wake()


async def settle(outbox: Outbox, outcomes: Sequence[Event], wake: Callable[[], None]) -> None:
    """End, put back or park the holds as the sender tells, give their numbers room, and close the gates it names. Of what is put
    back, that is let go of which its run does not want any more: it was paused or canceled meanwhile. A run does not wait for what
    stays unknown when the grace time is over or an operator has given it up; a report that comes later still corrects it."""
    async with outbox.transaction() as unit:
        settled = await holds.settle(unit.connection, settlements(outcomes))
        if closing := closings(outcomes, settled.put_back):
            await gates.close(unit.connection, closing, LONGEST_GATE)
        if traced := _traced(outcomes, settled.put_back):
            await holds.trace(unit.connection, traced)
        await withdraw_unwanted(unit, settled.put_back)
        if settled.ended:
            await conclude(unit, _ends(outcomes, settled.ended))
        if parked := unconfirmed(outcomes):
            runs = await holds.runs_of_unsettled(unit.connection, [*parked])
            await conclude(
                unit, [End(runs[message], message, "unknown", code) for message, code in parked.items() if message in runs]
            )
    wake()


async def cancel(outbox: Outbox, requests: Sequence[MessageCancelRequested], now: datetime) -> None:
    """Cancel what has not been released. Raises `BatchFailed` for messages that may still be on their way here."""
    async with outbox.transaction() as unit:
        canceled = await holds.cancel(unit.connection, [(r.message_id, r.tenant_id) for r in requests])
        unit.emit(
            *(
                MessageCanceled(tenant_id=r.tenant_id, traceparent=r.traceparent, message_id=r.message_id)
                for r in {r.message_id: r for r in requests if r.message_id in canceled}.values()
            )
        )
        await conclude(unit, [End(run, message, "canceled", CANCELED) for message, run in canceled.items() if run])
        young = [r for r in requests if r.message_id not in canceled and now - r.occurred_at < CANCEL_PATIENCE]
        held = await holds.known(unit.connection, [r.message_id for r in young]) if young else set()
    early: dict[EventId, Retry | Permanent] = {
        request.event_id: Retry("hold.not_yet_known", after=1) for request in young if request.message_id not in held
    }
    if early:
        raise BatchFailed(early)


def _traced(outcomes: Sequence[Event], put_back: Collection[str]) -> dict[str, str]:
    """Of those put back the contexts of what was recorded, whether their messages were traced before or failed just now."""
    return {
        event.message_id: event.traceparent
        for event in outcomes
        if isinstance(event, MessageDeferred) and event.traceparent is not None and event.message_id in put_back
    }


def _ends(outcomes: Sequence[Event], ended: Mapping[str, str]) -> list[End]:
    """Of those that have ended, with their runs; of several outcomes of one message the last attempt's is the one that ended it."""
    last: dict[str, MessageSent | MessageFailed] = {}
    for event in outcomes:
        if isinstance(event, MessageSent | MessageFailed) and event.message_id in ended:
            before = last.setdefault(event.message_id, event)
            if before.attempt <= event.attempt:
                last[event.message_id] = event
    return [
        End(ended[message_id], message_id, "failed", event.code, event.detail)
        if isinstance(event, MessageFailed)
        else End(ended[message_id], message_id, "sent")
        for message_id, event in last.items()
    ]
