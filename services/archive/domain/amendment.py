"""What is said of an entry after it was written: another text, that it was taken back, the file that came with it.

Amendments come late, twice and out of order, and before their entry. Putting them in is commutative and idempotent, in
`store/amendments.sql`: the latest edit is what the entry says and the others are its versions, one revocation is enough for
good, and a file that is stored stands above one that is lost.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from services.archive.domain.content import body_of, type_of, without_nul
from services.archive.domain.entry import preview_of
from shared.events.catalogue import MediaLost, MediaStored, MessageEdited, MessageRevoked
from shared.ids import EventId, NumberId, TenantId

Remark = MessageEdited | MessageRevoked | MediaStored | MediaLost


class Kind(StrEnum):
    EDIT = "edit"
    REVOCATION = "revocation"
    MEDIA = "media"


class Amendment(NamedTuple):
    """One fact about the entry of a number and a wamid. `content` is what an edited entry says now, or what is known of its file;
    what follows it is an edit's only."""

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
            return _fact(event, Kind.MEDIA, event.occurred_at, file | named)
        case MediaLost():
            return _fact(event, Kind.MEDIA, event.occurred_at, {"lost": event.code})


def _fact(event: Remark, kind: Kind, at: datetime, content: dict[str, Any] | None) -> Amendment | None:
    if event.number_id is None or event.wamid is None:
        return None
    return Amendment(event.event_id, event.tenant_id, event.number_id, without_nul(event.wamid), kind, at, content)
