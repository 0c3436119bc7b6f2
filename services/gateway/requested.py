"""Messages that the scheduler asks for: they become the tenant's, under the ids that it gave them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import orjson

from services.gateway.domain import admission
from services.gateway.domain.message import Message
from services.gateway.domain.status import Status
from services.gateway.numbers import NumberDirectory
from services.gateway.payloads.messages import MessageContent
from services.gateway.store import messages as store
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.content import content_of, unfilled_faults
from shared.errors import FieldError, Rejected
from shared.events.catalogue import MessageRequested, MessageRequestRefused
from shared.http.requests import validate
from shared.ids import NumberId, TenantId

_NO_ADDRESS: Final = FieldError("/to", "phone.invalid", "is not a phone number with + and country code, 7 to 15 digits")


class Requests:
    """Stores what the scheduler asks for."""

    def __init__(self, outbox: Outbox, numbers: NumberDirectory, clock: Clock) -> None:
        self._outbox = outbox
        self._numbers = numbers
        self._clock = clock

    async def take(self, events: Sequence[MessageRequested]) -> None:
        """Store the messages and tell that they are accepted, or that they are refused. Asked twice, a message is told once."""
        wanted: dict[TenantId, set[str | None]] = {}
        for event in events:
            wanted.setdefault(event.tenant_id, set()).add(event.number_id)
        numbers = {tenant_id: await self._numbers.choose(tenant_id, ids) for tenant_id, ids in wanted.items()}
        now = self._clock.now()
        admitted: dict[store.Key, Message] = {}
        refused: list[MessageRequestRefused] = []
        for event in events:
            fault = _fault(event, numbers[event.tenant_id][event.number_id])
            if fault is None:
                admitted.setdefault((event.tenant_id, event.message_id), _message(event, now))
            else:
                refused.append(_refused(event, fault))
        async with self._outbox.transaction() as unit:
            if admitted:
                new = await store.insert_new(unit.connection, admitted.values())
                unit.emit(*(message.accepted() for key, message in admitted.items() if key in new))
            unit.emit(*refused)


def _fault(event: MessageRequested, number: NumberId | FieldError) -> FieldError | None:
    """Why it cannot be one of the tenant's messages, if so."""
    if isinstance(number, FieldError):
        return number
    if not admission.is_address(event.to):
        return _NO_ADDRESS
    try:
        body = validate(MessageContent, orjson.dumps(event.content), "/content")
    except Rejected as error:
        return error.errors[0] if error.errors else FieldError("/content", error.code, error.detail)
    content = content_of(body.type, body, "/content")
    return next(iter(content if isinstance(content, list) else unfilled_faults(content)), None)


def _message(event: MessageRequested, now: datetime) -> Message:
    return Message(
        id=event.message_id,
        tenant_id=event.tenant_id,
        number_id=event.number_id,
        recipient=event.to,
        content=event.content,
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
