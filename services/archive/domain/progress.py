"""How far an outgoing message got: facts that arrive in any order, twice, and still add up to one state.

    attempt n   queued < scheduled < unknown < sent < failed       a later attempt stands above all of an earlier one
    above all   canceled | expired  <  delivered  <  read

`scheduled` is a message that was deferred and waits for its next attempt. What the recipient's phone has confirmed stands above
whatever else is said. Each fact has a `height`; the highest one is the state. Adding up is commutative, associative and
idempotent, here (within a batch) as in `store/queries.sql` (across batches).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final

from shared.events.catalogue import (
    DeliveryStatus,
    MessageCanceled,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageReleased,
    MessageSent,
    MessageStatusChanged,
    MessageUnsettled,
)
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


_WITHIN_ATTEMPT: Final = (EntryStatus.QUEUED, EntryStatus.SCHEDULED, EntryStatus.UNKNOWN, EntryStatus.SENT, EntryStatus.FAILED)
_ABOVE_ATTEMPTS: Final = (EntryStatus.CANCELED, EntryStatus.EXPIRED, EntryStatus.DELIVERED, EntryStatus.READ)
_STEP: Final = 10
_ABOVE: Final = 1_000_000
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
    if status in _ABOVE_ATTEMPTS:
        return _ABOVE + _ABOVE_ATTEMPTS.index(status)
    return min(attempt, MAX_ATTEMPT) * _STEP + _WITHIN_ATTEMPT.index(status)


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of an outgoing message's way: when it first reached its `status`, and the latest attempt's wamid."""

    message_id: MessageId
    tenant_id: TenantId
    height: int
    status: EntryStatus
    status_at: datetime
    error_code: str | None = None
    wamid: str | None = None
    wamid_attempt: int = 0

    def __add__(self, other: Progress) -> Progress:
        """Both facts about one message."""
        top = max(self, other, key=Progress._precedence)
        named = max(self, other, key=Progress._naming)
        return replace(top, wamid=named.wamid, wamid_attempt=named.wamid_attempt)

    def _precedence(self) -> tuple[int, float, str]:
        return self.height, -self.status_at.timestamp(), self.error_code or ""

    def _naming(self) -> tuple[int, str]:
        return self.wamid_attempt, self.wamid or ""


def progress_of(event: Outcome) -> Progress:
    """The fact that an event tells."""
    match event:
        case MessageReleased():
            return _fact(event, EntryStatus.QUEUED, event.attempt, event.occurred_at)
        case MessageDeferred():
            return _fact(event, EntryStatus.SCHEDULED, event.attempt, event.occurred_at, error_code=event.code)
        case MessageUnsettled():
            return _fact(event, EntryStatus.UNKNOWN, event.attempt, event.occurred_at, error_code=event.code)
        case MessageSent():
            return _fact(event, EntryStatus.SENT, event.attempt, event.occurred_at, wamid=event.wamid)
        case MessageFailed():
            return _fact(event, EntryStatus.FAILED, event.attempt, event.occurred_at, error_code=event.code)
        case MessageStatusChanged():
            attempt = event.attempt or ATTEMPT_NOT_TOLD
            return _fact(
                event, _REPORTED[event.status], attempt, event.status_at, error_code=event.error_code, wamid=event.wamid
            )
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
    event: Outcome, status: EntryStatus, attempt: int, at: datetime, *, error_code: str | None = None, wamid: str | None = None
) -> Progress:
    return Progress(
        message_id=event.message_id,
        tenant_id=event.tenant_id,
        height=height(status, attempt),
        status=status,
        status_at=at,
        error_code=error_code,
        wamid=wamid,
        wamid_attempt=attempt if wamid else 0,
    )


def add_up(facts: Iterable[Progress]) -> list[Progress]:
    """One progress per message of a tenant."""
    sums: dict[tuple[TenantId, MessageId], Progress] = {}
    for fact in facts:
        key = fact.tenant_id, fact.message_id
        sums[key] = sums[key] + fact if key in sums else fact
    return list(sums.values())
