"""How far an outgoing message got: facts that arrive in any order, twice, and still add up to one state.

    attempt n   queued < scheduled < unknown < sent < failed       a later attempt stands above all of an earlier one
    above all   canceled | expired  <  delivered  <  read

`scheduled` is a message that was deferred and waits for its next attempt. What the recipient's phone has confirmed stands above
whatever else is said. Each fact has a `height`; the highest one is the state. Adding up is commutative, associative and
idempotent, here (within a batch) as in `store/queries.sql` (across batches).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from shared.events.catalogue import (
    MessageCanceled,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageReleased,
    MessageSent,
    MessageStatusChanged,
    MessageUnsettled,
)
from shared.events.values import DeliveryStatus
from shared.ids import MessageId, TenantId


class EntryStatus(StrEnum):
    """The public words for what can be known here."""

    QUEUED = "queued"
    SCHEDULED = "scheduled"
    UNKNOWN = "unknown"
    SENT = "sent"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    DELIVERED = "delivered"
    READ = "read"


_WITHIN_ATTEMPT: Final = {
    status: step
    for step, status in enumerate(
        (EntryStatus.QUEUED, EntryStatus.SCHEDULED, EntryStatus.UNKNOWN, EntryStatus.SENT, EntryStatus.FAILED)
    )
}
_STEP: Final = 10
_ABOVE: Final = 1_000_000
_ABOVE_ATTEMPTS: Final = {
    status: _ABOVE + step
    for step, status in enumerate((EntryStatus.CANCELED, EntryStatus.EXPIRED, EntryStatus.DELIVERED, EntryStatus.READ))
}
MAX_ATTEMPT: Final = _ABOVE // _STEP - 1

ATTEMPT_NOT_TOLD: Final = 1
"""A status report whose attempt did not come back counts for the first: right for all but messages that were tried again, and
there it can only be too low."""

Outcome = (
    MessageReleased
    | MessageSent
    | MessageFailed
    | MessageDeferred
    | MessageUnsettled
    | MessageStatusChanged
    | MessageCanceled
    | MessageExpired
)


def height(status: EntryStatus, attempt: int) -> int:
    """The order of states; equal only for the same state of the same attempt."""
    above = _ABOVE_ATTEMPTS.get(status)
    return above if above is not None else min(attempt, MAX_ATTEMPT) * _STEP + _WITHIN_ATTEMPT[status]


class Progress(NamedTuple):
    """All that is known of an outgoing message's way: when it first reached its `status`, and the latest attempt's wamid. A tuple,
    because there are several for each message."""

    message_id: MessageId
    tenant_id: TenantId
    height: int
    status: EntryStatus
    status_at: datetime
    error_code: str | None
    wamid: str | None
    wamid_attempt: int

    def joined(self, other: Progress) -> Progress:
        """Both facts about one message."""
        top = self if self._stands_above(other) else other
        named = self if (self.wamid_attempt, self.wamid or "") > (other.wamid_attempt, other.wamid or "") else other
        if (top.wamid_attempt, top.wamid) == (named.wamid_attempt, named.wamid):
            return top
        return top._replace(wamid=named.wamid, wamid_attempt=named.wamid_attempt)

    def _stands_above(self, other: Progress) -> bool:
        """The higher fact, of equal ones the earlier."""
        if self.height != other.height:
            return self.height > other.height
        return (other.status_at, self.error_code or "") > (self.status_at, other.error_code or "")


def progress_of(event: Outcome) -> Progress:
    """The fact that an event tells."""
    match event:  # the frequent ones first: a miss takes longer than all the rest
        case MessageStatusChanged():
            attempt = event.attempt or ATTEMPT_NOT_TOLD
            return _fact(event, _REPORTED[event.status], attempt, event.status_at, event.error_code, event.wamid)
        case MessageSent():
            return _fact(event, EntryStatus.SENT, event.attempt, event.occurred_at, wamid=event.wamid)
        case MessageReleased():
            return _fact(event, EntryStatus.QUEUED, event.attempt, event.occurred_at)
        case MessageDeferred():
            return _fact(event, EntryStatus.SCHEDULED, event.attempt, event.occurred_at, event.code)
        case MessageUnsettled():
            return _fact(event, EntryStatus.UNKNOWN, event.attempt, event.occurred_at, event.code)
        case MessageFailed():
            return _fact(event, EntryStatus.FAILED, event.attempt, event.occurred_at, event.code)
        case MessageCanceled():
            return _fact(event, EntryStatus.CANCELED, 0, event.occurred_at)
        case MessageExpired():
            return _fact(event, EntryStatus.EXPIRED, 0, event.occurred_at)


_REPORTED: Final = {
    DeliveryStatus.SENT: EntryStatus.SENT,
    DeliveryStatus.DELIVERED: EntryStatus.DELIVERED,
    DeliveryStatus.READ: EntryStatus.READ,
    DeliveryStatus.FAILED: EntryStatus.FAILED,
}


def _fact(
    event: Outcome, status: EntryStatus, attempt: int, at: datetime, error_code: str | None = None, wamid: str | None = None
) -> Progress:
    named = attempt if wamid else 0
    return Progress(event.message_id, event.tenant_id, height(status, attempt), status, at, error_code, wamid, named)


def add_up(facts: Iterable[Progress]) -> list[Progress]:
    """One progress per message of a tenant."""
    sums: dict[tuple[TenantId, MessageId], Progress] = {}
    for fact in facts:
        key = fact.tenant_id, fact.message_id
        known = sums.get(key)
        sums[key] = fact if known is None else known.joined(fact)
    return list(sums.values())
