"""Where a message stands, and what becomes of it when it is told of changes: in any order, any number of times, the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.gateway.domain.status import RANKS, Status
from services.gateway.domain.timeline import entries_of, has, hides_sent, holds, line_of, name_of
from shared.events.catalogue import (
    MessageCanceled,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageHeld,
    MessageRefused,
    MessageReleased,
    MessageSent,
    MessageSuppressed,
    MessageUnsettled,
)

UNCONFIRMED: Final = "unknown.unconfirmed"
DISCARDED: Final = "platform.discarded"
_LAST_WORDS: Final = (UNCONFIRMED, DISCARDED)
"""On an unknown outcome where nothing is sent again."""
_UNCONFIRMED_DETAIL: Final = (
    "The provider may have the message: its answer was lost and no report has come within the grace time. It is not sent again; "
    "a report that comes later still settles it."
)
_DETAILS: Final = {
    UNCONFIRMED: _UNCONFIRMED_DETAIL,
    DISCARDED: (
        "The platform was restored from a backup that does not know whether the message left, and an operator gave it up. It is "
        "not sent; a report that comes later still settles it."
    ),
    "platform.restored": (
        "The platform was restored from a backup that does not know whether the message left. It is not sent before an operator "
        "decides; a report settles it."
    ),
}
_QUEUED: Final = Status.QUEUED
_SCHEDULED: Final = Status.SCHEDULED
_SENT: Final = Status.SENT
"""By these names at once: `told` looks at seven changes a message, and Python 3.11 searches for a member of an enum."""
MOST_LINES: Final = 200
"""A message that is put back again and again, for days, keeps no longer timeline: then a deferral takes the last one's place."""


Telling = (
    MessageSent
    | MessageDeferred
    | MessageUnsettled
    | MessageFailed
    | MessageCanceled
    | MessageExpired
    | MessageSuppressed
    | MessageRefused
    | MessageHeld
    | MessageReleased
)
"""Events of the scheduler and the sender that tell of a message's state. A queue that an earlier version declared still brings the
last one."""


class Change(NamedTuple):
    """A state that a message was told to be in. `code` says why, where there is a why; `detail` is a sentence for the tenant.
    One that is `scheduled` with a code was put back or is held, with `until` where that is known and `counted` where that was an
    attempt; `attempt` is there where the provider reports on it."""

    status: Status
    at: datetime
    wamid: str | None = None
    code: str | None = None
    detail: str | None = None
    until: datetime | None = None
    counted: bool = False
    attempt: int | None = None


class State(NamedTuple):
    """What is kept of where a message stands. `code` and `detail` belong to the status."""

    status: Status
    wamid: str | None
    code: str | None
    detail: str | None
    updated_at: datetime
    timeline: str


def changes_of(event: Telling) -> Sequence[Change]:
    """The states that it tells of."""
    match event:
        case MessageSent():
            return (
                *_released(event),
                Change(Status.SENDING, event.started_at),
                Change(Status.SENT, event.occurred_at, event.wamid),
            )
        case MessageDeferred():
            put_back = Change(Status.SCHEDULED, event.occurred_at, code=event.code, until=event.retry_at, counted=event.counted)
            return (*_released(event), put_back)
        case MessageUnsettled():
            return (
                *_released(event),
                Change(Status.SENDING, event.started_at),
                Change(Status.UNKNOWN, event.occurred_at, code=event.code, detail=_DETAILS.get(event.code)),
            )
        case MessageFailed():
            return (*_released(event), Change(Status.FAILED, event.occurred_at, code=event.code, detail=event.detail))
        case MessageCanceled():
            return (Change(Status.CANCELED, event.occurred_at),)
        case MessageExpired():
            return (Change(Status.EXPIRED, event.occurred_at),)
        case MessageSuppressed():
            return (Change(Status.SUPPRESSED, event.occurred_at, code=event.code),)
        case MessageRefused():
            return (Change(Status.FAILED, event.occurred_at, code=event.code, detail=event.detail),)
        case MessageHeld():
            return (Change(Status.SCHEDULED, event.occurred_at, code=event.code, until=event.until),)
        case MessageReleased():
            return (Change(Status.QUEUED, event.occurred_at),)


def _released(event: MessageSent | MessageFailed | MessageDeferred | MessageUnsettled) -> tuple[Change, ...]:
    if event.released_at is None:
        return ()
    return (Change(Status.QUEUED, event.released_at),)


def told(state: State, changes: Iterable[Change]) -> tuple[State, list[Change]]:
    """The state after the changes, and those of them that the timeline did not hold yet. Status and time name an entry.

    A report of what the sender has told already - this `wamid` is sent - is not new: the timeline would not show it (`readable`).
    """
    status, wamid, code, detail, updated_at, timeline = state
    new = []
    top: Change | None = None
    for change in changes:
        its_status, at, its_wamid, its_code, _, until, _, _ = change
        wamid = wamid or its_wamid
        name = name_of(its_status, at)
        if holds(timeline, name):
            continue
        if its_status is _SENT and its_wamid == wamid and hides_sent(timeline, name):
            continue
        new.append(change)
        if its_status is _SCHEDULED and its_code is not None:  # what is put back or held keeps its status
            timeline = _put_back(timeline, change, line_of(name, its_code, until))
            continue
        timeline += line_of(name, its_code)
        if its_status is _QUEUED:  # told with what became of it, so it is over
            continue
        if RANKS[its_status] > RANKS[status] or (its_status is status and its_code in _LAST_WORDS):
            top, status = change, its_status
    if top is not None:
        code, detail, updated_at = top.code, top.detail, max(updated_at, top.at)
    return State(status, wamid, code, detail, updated_at, timeline), new


def first_of(timeline: str, new: Iterable[Change]) -> set[Change]:
    """Those of the new changes that are the first of their status: a run counts each status of a message once."""
    found: dict[Status, Change] = {}
    for change in new:
        if not has(timeline, change.status):
            found.setdefault(change.status, change)
    return set(found.values())


def _put_back(timeline: str, change: Change, line: str) -> str:
    """The timeline with the line of a wait. One that says no more than the wait before it takes that one's place, and the release
    between them goes, so that a long wait stays one line."""
    lines = timeline.splitlines(keepends=True)
    is_released = bool(lines) and lines[-1].startswith(Status.QUEUED)
    before = lines[:-1] if is_released else lines
    last = entries_of(before[-1])[0] if before else None
    if last is None or not last.is_wait:
        return timeline + line
    if (change.counted or last.code != change.code) and len(lines) < MOST_LINES:
        return timeline + line
    return "".join([*before[:-1], line if last.at < change.at else before[-1]])
