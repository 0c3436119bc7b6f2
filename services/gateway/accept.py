"""Take messages: check, make durable together with their events, answer. Concurrent requests share transactions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from services.gateway.domain import admission
from services.gateway.domain.message import Message
from services.gateway.domain.status import Status
from services.gateway.numbers import NumberDirectory
from services.gateway.payloads import SendMessage
from services.gateway.store import messages as store
from shared.batching import Batcher, Full
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.errors import FieldError, Rejected
from shared.ids import MessageId, NumberId, TenantId, new_id

ACCEPT_BATCH: Final = 256
MAX_WAITING: Final = 5_000
"""Requests waiting for a transaction; beyond it callers are told to come back."""

Numbers = Mapping[str | None, NumberId | FieldError]
"""What each `from` stands for."""


class Acceptance:
    """Admits and stores. `singles` is the component that carries the shared transactions."""

    def __init__(self, outbox: Outbox, numbers: NumberDirectory, clock: Clock) -> None:
        self._outbox = outbox
        self._numbers = numbers
        self._clock = clock
        self.singles: Batcher[Message, None] = Batcher(
            "gateway.accept", self._store_all, max_items=ACCEPT_BATCH, max_waiting=MAX_WAITING, concurrency=2
        )

    async def numbers_for(self, tenant_id: TenantId, bodies: Iterable[SendMessage]) -> Numbers:
        """The numbers that the bodies' messages go out from, to be looked up before `admit` is called in a transaction."""
        return await self._numbers.choose(tenant_id, (body.from_ for body in bodies))

    def admit(
        self, tenant_id: TenantId, body: SendMessage, numbers: Numbers, traceparent: str | None
    ) -> Message | list[FieldError]:
        """The message that `body` asks for, or what is wrong with it now. Stores nothing."""
        faults: list[FieldError] = []
        recipient = admission.normalized_phone(body.to)
        if recipient is None:
            faults.append(FieldError("/to", "phone.invalid", "must be a phone number with + and country code, 7 to 15 digits"))
        faults.extend(admission.content_faults(body.type, {"text": body.text, "template": body.template}))
        if body.template is not None and body.template.components is not None:
            faults.extend(admission.json_faults(body.template.components, "/template/components"))
        now = self._clock.now()
        moments = admission.moments(body.scheduled_time, body.expires_at, now)
        if isinstance(moments, FieldError):
            faults.append(moments)
        number_id = numbers[body.from_]
        if isinstance(number_id, FieldError):
            faults.append(number_id)
        if faults or recipient is None or isinstance(moments, FieldError) or isinstance(number_id, FieldError):
            return faults
        part = body.text if body.type == "text" else body.template
        assert part is not None  # content_faults has looked
        return Message(
            id=MessageId(new_id("msg")),
            tenant_id=tenant_id,
            number_id=number_id,
            recipient=recipient,
            content={"type": body.type, body.type: part.model_dump(mode="json", exclude_none=True)},
            tier=body.priority.tier,
            status=Status.SCHEDULED if moments.is_scheduled else Status.ACCEPTED,
            accepted_at=now,
            not_before=moments.not_before,
            expires_at=moments.expires_at,
            on_unknown=body.on_unknown,
            reference=body.reference,
            metadata=body.metadata,
            traceparent=traceparent,
        )

    async def accept(self, message: Message) -> None:
        """Store one message in a transaction shared with its contemporaries. Raises `Rejected` 503 when too many wait."""
        try:
            await self.singles.submit(message)
        except Full:
            raise Rejected(
                "gateway.overloaded", "Too many messages are waiting to be stored; try again.", 503, retry_after_seconds=1
            ) from None

    async def _store_all(self, messages: Sequence[Message]) -> Sequence[None]:
        async with self._outbox.transaction() as unit:
            await store_in(unit, messages)
        return [None] * len(messages)


async def store_in(unit: Unit, messages: Sequence[Message]) -> None:
    """The messages and their events, in somebody's transaction."""
    await store.insert(unit.connection, messages)
    unit.emit(*(message.accepted() for message in messages))


def rejected(faults: Sequence[FieldError]) -> Rejected:
    """The answer to a message with faults."""
    count = "1 field is" if len(faults) == 1 else f"{len(faults)} fields are"
    return Rejected("request.invalid", f"{count} wrong; see errors.", errors=faults)
