"""An entry of a conversation: a message in or out, as it is kept for good."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple

from services.archive.domain.content import body_of, type_of, without_nul
from shared.events.catalogue import MessageEchoed, MessageReceived, MessageReleased
from shared.ids import EntryId, MessageId, NumberId, TenantId

FIRST_MOMENT: Final = datetime(2009, 1, 1, tzinfo=UTC)
LAST_MOMENT: Final = datetime(2099, 12, 31, 23, 59, 59, tzinfo=UTC)
"""WhatsApp did not exist before; a clock beyond is wrong. Bounds the months that can be asked for."""
PREVIEW_CHARS: Final = 120


class Direction(StrEnum):
    INCOMING = "incoming"
    OUTGOING = "outgoing"


class Entry(NamedTuple):
    """One message of the conversation of a number and a contact. What we sent has a message id, all else a wamid: incoming ones and
    outgoing ones that the business wrote from its phone."""

    id: EntryId
    sent_at: datetime
    tenant_id: TenantId
    number_id: NumberId
    contact_phone: str
    contact_name: str | None
    direction: Direction
    message_id: MessageId | None
    wamid: str | None
    type: str
    body: str
    content: dict[str, Any]
    is_unread: bool = False
    author: str | None = None
    """The address of who speaks, where more than two do."""
    author_name: str | None = None

    @property
    def preview(self) -> str:
        """As a conversation shows its last entry."""
        return preview_of(self.body)


def preview_of(body: str) -> str:
    """The beginning of what it says, on one line."""
    return " ".join(body[: 2 * PREVIEW_CHARS].split())[:PREVIEW_CHARS]


def outgoing_entry(entry_id: EntryId, event: MessageReleased) -> Entry:
    """It stands in the conversation where it was first released."""
    return Entry(
        id=entry_id,
        sent_at=_within_bounds(event.occurred_at),
        tenant_id=event.tenant_id,
        number_id=event.number_id,
        contact_phone=peer_of(event),
        contact_name=None,
        direction=Direction.OUTGOING,
        message_id=event.message_id,
        wamid=None,
        type=type_of(event.content),
        body=body_of(event.content),
        content=event.content,
    )


def incoming_entry(entry_id: EntryId, event: MessageReceived) -> Entry:
    """It stands where the provider's clock says, refined by ours (see `moment_of`)."""
    return Entry(
        id=entry_id,
        sent_at=_within_bounds(moment_of(event.received_at, event.occurred_at)),
        tenant_id=event.tenant_id,
        number_id=event.number_id,
        contact_phone=peer_of(event),
        contact_name=None if event.group_id is not None else without_nul(event.sender_name or "") or None,
        direction=Direction.INCOMING,
        message_id=None,
        wamid=without_nul(event.wamid),
        type=type_of(event.content),
        body=body_of(event.content),
        content=event.content,
        is_unread=not event.is_history,
        author=None if event.group_id is None else without_nul(event.sender),
        author_name=None if event.group_id is None else without_nul(event.sender_name or "") or None,
    )


def echoed_entry(entry_id: EntryId, event: MessageEchoed) -> Entry:
    """It stands where the provider's clock says, as incoming ones do."""
    return Entry(
        id=entry_id,
        sent_at=_within_bounds(moment_of(event.sent_at, event.occurred_at)),
        tenant_id=event.tenant_id,
        number_id=event.number_id,
        contact_phone=peer_of(event),
        contact_name=None,
        direction=Direction.OUTGOING,
        message_id=None,
        wamid=without_nul(event.wamid),
        type=type_of(event.content),
        body=body_of(event.content),
        content=event.content,
    )


def peer_of(event: MessageReleased | MessageReceived | MessageEchoed) -> str:
    """Whose conversation with the number it stands in: a person's address, or `group:` and the group's id."""
    if isinstance(event, MessageReceived):
        return without_nul(event.sender if event.group_id is None else f"group:{event.group_id}")
    return without_nul(event.to)


def moment_of(received_at: datetime, occurred_at: datetime) -> datetime:
    """The provider tells whole seconds. Within that second, go by when we heard of it: so several messages of one second keep
    their order, and an answer does not stand before what it answers."""
    if received_at.microsecond:
        return received_at
    return min(max(received_at, occurred_at), received_at + timedelta(microseconds=999_999))


def month_of(moment: datetime) -> datetime:
    """The first moment of its month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def months_of(moments: Collection[datetime]) -> set[datetime]:
    """The months they are of."""
    ends = {month_of(moment) for moment in (min(moments), max(moments))} if moments else set()
    return ends if len(ends) < 2 else {month_of(moment) for moment in moments}


def next_month(month: datetime) -> datetime:
    """The month after."""
    return month_of(month + timedelta(days=31))


def _within_bounds(moment: datetime) -> datetime:
    return min(max(moment, FIRST_MOMENT), LAST_MOMENT)
