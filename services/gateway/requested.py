"""Messages that the scheduler asks for: they become the tenant's, under the ids that it gave them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

import orjson

from services.gateway.contents import ContentDirectory, Having, having_faults, named_for_long
from services.gateway.domain import admission
from services.gateway.domain.message import Message
from services.gateway.domain.status import Status
from services.gateway.numbers import NumberDirectory
from services.gateway.payloads.messages import MessageContent
from services.gateway.store import graph_ids
from services.gateway.store import messages as store
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.content import content_of, message_place, unfilled_faults
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.events.catalogue import MessageRequested, MessageRequestRefused
from shared.events.values import Content
from shared.http.requests import validate
from shared.ids import NumberId, TenantId, is_id

_NO_ADDRESS: Final = FieldError("/to", "phone.invalid", "is not a phone number with + and country code, 7 to 15 digits")


class Requests:
    """Stores what the scheduler asks for."""

    def __init__(self, outbox: Outbox, pool: Pool, numbers: NumberDirectory, contents: ContentDirectory, clock: Clock) -> None:
        self._outbox = outbox
        self._pool = pool
        self._numbers = numbers
        self._contents = contents
        self._clock = clock

    async def take(self, events: Sequence[MessageRequested]) -> None:
        """Store the messages and tell that they are accepted, or that they are refused. Asked twice, a message is told once."""
        by_tenant: dict[TenantId, list[MessageRequested]] = {}
        for event in events:
            by_tenant.setdefault(event.tenant_id, []).append(event)
        now = self._clock.now()
        admitted: dict[store.Key, Message] = {}
        refused: dict[store.Key, MessageRequestRefused] = {}
        for tenant_id, wanted in by_tenant.items():
            for event, result in zip(wanted, await self._judged(tenant_id, wanted), strict=True):
                key = tenant_id, event.message_id
                if isinstance(result, FieldError):
                    refused.setdefault(key, _refused(event, result))
                else:
                    admitted.setdefault(key, _message(event, result, now))
        async with self._outbox.transaction() as unit:
            if admitted:
                new = await store.insert_new(unit.connection, admitted.values())
                unit.emit(*(message.accepted() for key, message in admitted.items() if key in new))
            if refused:
                # What was taken when it was asked for first stays taken, though its file is gone since.
                there = {(row["tenant_id"], row["id"]) for row in await store.lock(unit.connection, refused)}
                unit.emit(*(event for key, event in refused.items() if key not in there))

    async def _judged(self, tenant_id: TenantId, events: Sequence[MessageRequested]) -> list[Content | FieldError]:
        """Of each what it says, or why it cannot be one of the tenant's messages. Nothing is asked about a plain text."""
        numbers = await self._numbers.choose(tenant_id, {event.number_id for event in events})
        contents = [_content(event, numbers[event.number_id]) for event in events]
        having = await self._contents.having(tenant_id, (content for content in contents if isinstance(content, dict)))
        named = {name for event in events if (name := _old_message(event)) is not None}
        wamids = await graph_ids.wamids(self._pool, tenant_id, named) if named else {}
        return [
            _checked(event, content, having, wamids) if isinstance(content, dict) else content
            for event, content in zip(events, contents, strict=True)
        ]


def _content(event: MessageRequested, number: NumberId | FieldError) -> Content | FieldError:
    """What it says, as far as that can be a message by itself."""
    if isinstance(number, FieldError):
        return number
    if not admission.is_address(event.to):
        return _NO_ADDRESS
    try:
        body = validate(MessageContent, orjson.dumps(event.content), "/content")
    except Rejected as error:
        return error.errors[0] if error.errors else FieldError("/content", error.code, error.detail)
    content = content_of(body.type, body, "/content")
    return content[0] if isinstance(content, list) else content


def _checked(event: MessageRequested, content: Content, having: Having, wamids: Mapping[str, str]) -> Content | FieldError:
    """What is sent, which is what was asked for: names of long ago are the provider's."""
    fault = next(iter(unfilled_faults(content) or having_faults(content, having)), None)
    fault = fault or admission.misaddressed(content["type"], event.to)
    if fault is not None:
        return replace(fault, pointer=f"/content{fault.pointer}")
    return named_for_long(event.content, wamids, event.not_before) if wamids else event.content


def _old_message(event: MessageRequested) -> str | None:
    """The message of ours that it names, where the sender will not know it any more."""
    place = message_place(event.content)
    if place is None:
        return None
    name: str = place[0]["message_id"]
    return name if is_id(name, "msg") and admission.is_forgotten(name, event.not_before) else None


def _message(event: MessageRequested, content: Content, now: datetime) -> Message:
    return Message(
        id=event.message_id,
        tenant_id=event.tenant_id,
        number_id=event.number_id,
        recipient=event.to,
        content=content,
        tier=event.tier,
        status=Status.SCHEDULED if event.not_before > now + admission.CLOCK_SKEW else Status.ACCEPTED,
        accepted_at=now,
        not_before=event.not_before,
        expires_at=event.expires_at,
        on_unknown=event.on_unknown,
        reference=event.reference,
        metadata=event.metadata,
        traceparent=event.traceparent,
        needs_consent=event.needs_consent,
        contact_id=event.contact_id,
        run_id=event.run_id,
        hours=event.hours,
    )


def _refused(event: MessageRequested, fault: FieldError) -> MessageRequestRefused:
    return MessageRequestRefused(
        tenant_id=event.tenant_id,
        traceparent=event.traceparent,
        message_id=event.message_id,
        run_id=event.run_id,
        code=fault.code,
        detail=f"{fault.pointer} {fault.detail}",
    )
