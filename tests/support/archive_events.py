"""Events as the archive hears them, with the facts a test does not care about filled in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shared.events.catalogue import (
    MediaLost,
    MediaStored,
    MessageCanceled,
    MessageDeferred,
    MessageEchoed,
    MessageEdited,
    MessageFailed,
    MessageReceived,
    MessageReleased,
    MessageRevoked,
    MessageSent,
    MessageStatusChanged,
    MessageUnsettled,
)
from shared.events.values import DeliveryStatus
from shared.ids import MessageId, NumberId, TenantId, new_id

NOON: Final = datetime(2026, 11, 20, 12, tzinfo=UTC)
TENANT: Final = TenantId(new_id("tnt"))
OTHER_TENANT: Final = TenantId(new_id("tnt"))
NUMBER: Final = NumberId(new_id("num"))
PHONE: Final = "+15551234567"


def at(seconds: float) -> datetime:
    """That long after noon."""
    return NOON + timedelta(seconds=seconds)


def text(body: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": body}}


def message_id() -> MessageId:
    return MessageId(new_id("msg"))


def released(
    message: MessageId,
    body: str = "hello",
    *,
    seconds: float = 0,
    attempt: int = 1,
    to: str = PHONE,
    tenant: TenantId = TENANT,
    number: NumberId = NUMBER,
    content: dict[str, Any] | None = None,
) -> MessageReleased:
    return MessageReleased(
        tenant_id=tenant,
        occurred_at=at(seconds),
        message_id=message,
        attempt=attempt,
        number_id=number,
        to=to,
        content=content or text(body),
    )


def received(
    wamid: str,
    body: str = "hi",
    *,
    seconds: float = 0,
    heard_after: float = 0,
    sender: str = PHONE,
    name: str | None = "Ana",
    tenant: TenantId = TENANT,
    number: NumberId = NUMBER,
    content: dict[str, Any] | None = None,
    **more: Any,
) -> MessageReceived:
    return MessageReceived(
        tenant_id=tenant,
        occurred_at=at(seconds + heard_after),
        number_id=number,
        wamid=wamid,
        sender=sender,
        sender_name=name,
        content=content or text(body),
        received_at=at(seconds),
        **more,
    )


def echoed(
    wamid: str,
    body: str = "from my phone",
    *,
    seconds: float = 0,
    to: str = PHONE,
    content: dict[str, Any] | None = None,
    **more: Any,
) -> MessageEchoed:
    return MessageEchoed(
        tenant_id=TENANT,
        occurred_at=at(seconds),
        number_id=NUMBER,
        wamid=wamid,
        to=to,
        content=content or text(body),
        sent_at=at(seconds),
        **more,
    )


def reaction(to: str, emoji: str | None) -> dict[str, Any]:
    """The content of a reaction; None: without an emoji, as one that is taken back comes."""
    return {"type": "reaction", "reaction": {"message_id": to} | ({} if emoji is None else {"emoji": emoji})}


def edited(
    wamid: str,
    body: str = "as edited",
    *,
    seconds: float = 60,
    tenant: TenantId = TENANT,
    number: NumberId = NUMBER,
    content: dict[str, Any] | None = None,
) -> MessageEdited:
    return MessageEdited(
        tenant_id=tenant,
        occurred_at=at(seconds + 1),
        number_id=number,
        wamid=wamid,
        content=content or text(body),
        edited_at=at(seconds),
    )


def revoked(wamid: str, *, seconds: float = 90, number: NumberId = NUMBER) -> MessageRevoked:
    return MessageRevoked(tenant_id=TENANT, occurred_at=at(seconds + 1), number_id=number, wamid=wamid, revoked_at=at(seconds))


def stored(
    wamid: str | None,
    media_id: str,
    *,
    file_name: str | None = None,
    number: NumberId | None = NUMBER,
    object_key: str | None = None,
) -> MediaStored:
    return MediaStored(
        tenant_id=TENANT,
        occurred_at=at(5),
        media_id=media_id,
        object_key=object_key or f"media/{TENANT}/{media_id}",
        mime_type="image/jpeg",
        size_bytes=1234,
        sha256="00",
        file_name=file_name,
        number_id=number,
        wamid=wamid,
    )


def lost(wamid: str, code: str = "media.too_large", *, number: NumberId = NUMBER) -> MediaLost:
    return MediaLost(tenant_id=TENANT, occurred_at=at(4), number_id=number, wamid=wamid, code=code)


def sent(message: MessageId, wamid: str, *, seconds: float = 0.1, attempt: int = 1) -> MessageSent:
    return MessageSent(
        tenant_id=TENANT, occurred_at=at(seconds), message_id=message, attempt=attempt, wamid=wamid, started_at=at(seconds)
    )


def failed(message: MessageId, *, seconds: float = 0.1, attempt: int = 1) -> MessageFailed:
    return MessageFailed(
        tenant_id=TENANT,
        occurred_at=at(seconds),
        message_id=message,
        attempt=attempt,
        code="provider.refused",
        detail="No.",
        started_at=at(seconds),
    )


def deferred(message: MessageId, *, seconds: float = 0.1, attempt: int = 1) -> MessageDeferred:
    return MessageDeferred(
        tenant_id=TENANT,
        occurred_at=at(seconds),
        message_id=message,
        attempt=attempt,
        retry_at=at(seconds + 5),
        code="provider.busy",
    )


def unsettled(message: MessageId, *, seconds: float = 0.1, attempt: int = 1) -> MessageUnsettled:
    return MessageUnsettled(
        tenant_id=TENANT,
        occurred_at=at(seconds),
        message_id=message,
        attempt=attempt,
        code="provider.silent",
        started_at=at(seconds),
    )


def canceled(message: MessageId, *, seconds: float = 9) -> MessageCanceled:
    return MessageCanceled(tenant_id=TENANT, occurred_at=at(seconds), message_id=message)


def reported(
    message: MessageId,
    wamid: str,
    status: DeliveryStatus,
    *,
    seconds: float,
    attempt: int | None = 1,
    tenant: TenantId = TENANT,
) -> MessageStatusChanged:
    return MessageStatusChanged(
        tenant_id=tenant,
        occurred_at=at(seconds),
        message_id=message,
        attempt=attempt,
        wamid=wamid,
        status=status,
        status_at=at(seconds),
    )
