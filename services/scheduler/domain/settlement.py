"""What an outcome told by the sender means for the hold."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from shared.events.catalogue import MessageDeferred, MessageFailed, MessageSent, MessageUnsettled
from shared.events.event import Event
from shared.ids import MessageId

Settlement = tuple[MessageId, int, str, datetime | None, bool]
"""(message, attempt, outcome, retry_at, whether a failure counts)."""

UNCONFIRMED: Final = "unknown.unconfirmed"
"""The code under which the sender tells that the grace time is over and nobody has reported."""
DISCARDED: Final = "platform.discarded"
"""The code under which it tells that an operator gave up what may have been sent before a restore."""
DONE: Final = "done"
DEFERRED: Final = "deferred"
UNSETTLED: Final = "unsettled"
_FINALITY: Final = {UNSETTLED: 0, DEFERRED: 1, DONE: 2}


def settlements(events: Sequence[Event]) -> list[Settlement]:
    """One settlement per message: of several outcomes of one attempt the most final, of several attempts the last."""
    latest: dict[MessageId, Settlement] = {}
    for event in events:
        settlement: Settlement
        match event:
            case MessageSent() | MessageFailed():
                settlement = (event.message_id, event.attempt, DONE, None, False)
            case MessageDeferred():
                settlement = (event.message_id, event.attempt, DEFERRED, event.retry_at, event.counted)
            case MessageUnsettled():
                settlement = (event.message_id, event.attempt, UNSETTLED, None, False)
            case _:
                raise TypeError(f"not an outcome: {event.event_name}")
        before = latest.get(event.message_id)
        if before is None or (before[1], _FINALITY[before[2]]) <= (settlement[1], _FINALITY[settlement[2]]):
            latest[event.message_id] = settlement
    return list(latest.values())


def unconfirmed(events: Sequence[Event]) -> dict[MessageId, str]:
    """Those that nobody will be sent again, though nobody knows whether they arrived, each with the code that says why."""
    return {
        event.message_id: event.code
        for event in events
        if isinstance(event, MessageUnsettled) and event.code in (UNCONFIRMED, DISCARDED)
    }
