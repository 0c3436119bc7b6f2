"""The public status of a message: it only climbs.

    accepted → scheduled → queued → sending → sent → delivered → read
                                       └→ unknown ─┘ (settled by a report)
    ends before sending:  canceled, expired, suppressed
    ends after:           failed (wins over everything up to sent; a report of delivery wins over it)

What arrives late or lower stands in the timeline and never becomes the status.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

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
from shared.ids import MessageId, TenantId


class Status(StrEnum):
    ACCEPTED = "accepted"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    SENDING = "sending"
    UNKNOWN = "unknown"
    SENT = "sent"
    CANCELED = "canceled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    FAILED = "failed"
    DELIVERED = "delivered"
    READ = "read"


# No two alike, so that the status does not depend on the order in which changes are told.
RANKS: Final = {
    Status.ACCEPTED: 10,
    Status.SCHEDULED: 20,
    Status.QUEUED: 30,
    Status.SENDING: 40,
    Status.UNKNOWN: 45,
    Status.SENT: 50,
    Status.SUPPRESSED: 55,
    Status.EXPIRED: 56,
    Status.CANCELED: 57,
    Status.FAILED: 58,
    Status.DELIVERED: 60,
    Status.READ: 70,
}


@dataclass(frozen=True, slots=True)
class Change:
    """A state that a message was told to be in. `code` says why, where there is a why; `detail` is a sentence for the tenant."""

    message_id: MessageId
    tenant_id: TenantId
    status: Status
    at: datetime
    wamid: str | None = None
    code: str | None = None
    detail: str | None = None


def changes_of(event: Event) -> list[Change]:
    """The states that an event of the scheduler or the sender tells of."""
    match event:
        case MessageReleased():
            return [Change(event.message_id, event.tenant_id, Status.QUEUED, event.occurred_at)]
        case MessageSent():
            return [
                Change(event.message_id, event.tenant_id, Status.SENDING, event.started_at),
                Change(event.message_id, event.tenant_id, Status.SENT, event.occurred_at, wamid=event.wamid),
            ]
        case MessageFailed(code=code, detail=detail):
            return [Change(event.message_id, event.tenant_id, Status.FAILED, event.occurred_at, code=code, detail=detail)]
        case MessageDeferred():
            return [Change(event.message_id, event.tenant_id, Status.SCHEDULED, event.occurred_at, code=event.code)]
        case MessageUnsettled():
            return [
                Change(event.message_id, event.tenant_id, Status.SENDING, event.started_at),
                Change(event.message_id, event.tenant_id, Status.UNKNOWN, event.occurred_at, code=event.code),
            ]
        case MessageCanceled():
            return [Change(event.message_id, event.tenant_id, Status.CANCELED, event.occurred_at)]
        case MessageExpired():
            return [Change(event.message_id, event.tenant_id, Status.EXPIRED, event.occurred_at)]
    raise TypeError(f"tells of no state: {event.event_name}")


def highest(changes: Iterable[Change]) -> list[Change]:
    """Per message the change that counts for its status, carrying the wamid if any of them has it; by message id, so that
    transactions lock in one order."""
    top: dict[MessageId, Change] = {}
    wamids: dict[MessageId, str] = {}
    for change in changes:
        if change.wamid is not None:
            wamids[change.message_id] = change.wamid
        before = top.get(change.message_id)
        if before is None or RANKS[before.status] < RANKS[change.status]:
            top[change.message_id] = change
    return [
        Change(c.message_id, c.tenant_id, c.status, c.at, wamids.get(c.message_id), c.code, c.detail)
        for c in sorted(top.values(), key=lambda change: change.message_id)
    ]


_REPORTED: Final = frozenset({Status.SENT, Status.DELIVERED, Status.READ})
_SECOND: Final = timedelta(seconds=1)

Entry = tuple[Status, datetime, str | None]


def readable(entries: Iterable[Entry]) -> list[Entry]:
    """A timeline in the order things happened: (status, time, code).

    The provider tells whole seconds, which stand for any moment within them: such an entry stands behind the lower ones of its
    second, and no entry shows an earlier time than the one before it. That a message was sent we know from the answer and again
    from the report; it is shown once, and so are delivered and read.
    """
    rows = list(entries)

    def happened(entry: Entry) -> datetime:
        status, at, _ = entry
        if at.microsecond:
            return at
        lower = [a for s, a, _ in rows if RANKS[s] < RANKS[status] and at <= a < at + _SECOND]
        return max(lower, default=at)

    shown: list[Entry] = []
    seen: set[Status] = set()
    for status, at, code in sorted(rows, key=lambda entry: (happened(entry), RANKS[entry[0]], entry[1])):
        if status in seen and status in _REPORTED:
            continue
        seen.add(status)
        before = shown[-1][1] if shown else at
        shown.append((status, before if timedelta() < before - at < _SECOND else at, code))
    return shown
