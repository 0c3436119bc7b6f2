"""What is said of an entry after it was written: another text, that it was taken back, the file that came with it, an emoji.

Amendments come late, twice and out of order, and before their entry. Putting them in is commutative and idempotent, in
`store/amendments.sql`: the latest edit is what the entry says and the others are its versions, one revocation is enough for
good, a file that is stored stands above one that is lost, and of each person's reactions the latest counts.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from services.archive.domain.content import body_of, type_of, without_nul
from services.archive.domain.entry import moment_of, peer_of, preview_of
from shared.events.catalogue import (
    MediaLost,
    MediaStored,
    MessageEchoed,
    MessageEdited,
    MessageReceived,
    MessageReleased,
    MessageRevoked,
)
from shared.ids import EventId, NumberId, TenantId

Remark = MessageEdited | MessageRevoked | MediaStored | MediaLost
Spoken = MessageReleased | MessageReceived | MessageEchoed

REACTION: Final = "reaction"
BUSINESS: Final = "business"
"""Whose reaction it is, where it is our side's; others have their address there."""


class Kind(StrEnum):
    EDIT = "edit"
    REVOCATION = "revocation"
    MEDIA = "media"
    REACTION = "reaction"


class Amendment(NamedTuple):
    """One fact about the entry of a number and a wamid. `content` is what an edited entry says now, what is known of its file, or
    who (`by`) answered it with which `emoji`; `type`, `body` and `preview` are an edit's only."""

    event_id: EventId
    tenant_id: TenantId
    number_id: NumberId
    wamid: str
    kind: Kind
    at: datetime
    content: dict[str, Any] | None
    type: str | None = None
    body: str | None = None
    preview: str | None = None
    contact_phone: str | None = None
    """Of a reaction: whose conversation it was in."""


def amendment_of(event: Remark) -> Amendment | None:
    """The fact that an event tells; None of a file that came with no message."""
    match event:
        case MessageEdited():
            body = body_of(event.content)
            fact = _fact(event, Kind.EDIT, event.edited_at, event.content)
            return fact and fact._replace(type=type_of(event.content), body=body, preview=preview_of(body))
        case MessageRevoked():
            return _fact(event, Kind.REVOCATION, event.revoked_at, None)
        case MediaStored():
            file = {"media_id": event.media_id, "mime_type": event.mime_type, "size_bytes": event.size_bytes}
            named = {} if event.file_name is None else {"file_name": event.file_name}
            # Files of the same bytes are kept once, under the key of the first.
            is_own = event.object_key == f"media/{event.tenant_id}/{event.media_id}"
            kept = {} if is_own else {"object_key": event.object_key}
            return _fact(event, Kind.MEDIA, event.occurred_at, file | named | kept)
        case MediaLost():
            return _fact(event, Kind.MEDIA, event.occurred_at, {"lost": event.code})


def reaction_of(event: Spoken) -> Amendment | None:
    """The reaction that a message is; None of any other, and of one that does not say to what it is. The wamid may be the id of a
    message of ours, which has none yet when we react to it at once. Without an emoji it takes an earlier one back."""
    if event.content.get("type") != REACTION:
        return None
    said = event.content.get(REACTION)
    wamid = said.get("message_id") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(wamid, str) or not without_nul(wamid):
        return None
    emoji = said.get("emoji")
    if isinstance(event, MessageReceived):
        by, at = without_nul(event.sender), moment_of(event.received_at, event.occurred_at)
    elif isinstance(event, MessageEchoed):
        by, at = BUSINESS, moment_of(event.sent_at, event.occurred_at)
    else:
        by, at = BUSINESS, event.occurred_at
    content = {"by": by, "emoji": without_nul(emoji) if isinstance(emoji, str) else ""}
    return Amendment(
        event.event_id,
        event.tenant_id,
        event.number_id,
        without_nul(wamid),
        Kind.REACTION,
        at,
        content,
        contact_phone=peer_of(event),
    )


def _fact(event: Remark, kind: Kind, at: datetime, content: dict[str, Any] | None) -> Amendment | None:
    if event.number_id is None or event.wamid is None:
        return None
    return Amendment(event.event_id, event.tenant_id, event.number_id, without_nul(event.wamid), kind, at, content)
