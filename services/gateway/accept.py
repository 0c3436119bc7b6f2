"""Take messages: check, make durable together with their events, answer. Concurrent requests share transactions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from services.gateway.contents import having_faults, named_for_long
from services.gateway.domain import admission
from services.gateway.domain.contact import Contact
from services.gateway.domain.message import Message
from services.gateway.domain.rendering import Fault, Named
from services.gateway.domain.status import Status
from services.gateway.lookups import Known
from services.gateway.payloads.messages import NamedTo, NeededConsent, SendMessage
from services.gateway.store import messages as store
from shared.batching import Batcher, Full
from shared.bus.outbox import Outbox, Unit
from shared.clock import Clock
from shared.content import LONGEST_TEXT, TYPES, content_of, unfilled_faults
from shared.errors import FieldError, Rejected
from shared.events.values import Content
from shared.ids import MessageId, TenantId, new_id
from shared.telemetry.catalogue import MESSAGES_REJECTED_TOTAL
from shared.telemetry.metrics import Metrics

ACCEPT_BATCH: Final = 256
MAX_WAITING: Final = 5_000
"""Requests waiting for a transaction; beyond it callers are told to come back."""

_NO_ADDRESS: Final = FieldError(
    "/to", "phone.invalid", "must be a phone number with + and country code, 7 to 15 digits, or a business-scoped user id"
)
_NO_SUCH_CONTACT: Final = FieldError("/to/contact_id", "contact.unknown", "is not a contact of yours")
_WITHOUT_PHONE: Final = FieldError("/to/contact_id", "contact.no_phone", "is a contact without a phone number or user id")
_VARIABLES_OF_NOTHING: Final = FieldError("/variables", "field.surplus", "go together with template_id")


class Acceptance:
    """Admits and stores. `singles` is the component that carries the shared transactions."""

    def __init__(self, outbox: Outbox, clock: Clock, metrics: Metrics) -> None:
        self._outbox = outbox
        self._clock = clock
        self._metrics = metrics
        self.singles: Batcher[Message, None] = Batcher(
            "gateway.accept", self._store_all, max_items=ACCEPT_BATCH, max_waiting=MAX_WAITING, concurrency=2
        )

    def admit(
        self, tenant_id: TenantId, body: SendMessage, known: Known, traceparent: str | None
    ) -> Message | list[FieldError]:
        """The message that `body` asks for, or what is wrong with it now. Stores nothing."""
        faults: list[FieldError] = []
        contact = known.contacts.get(body.to.contact_id or "") if isinstance(body.to, NamedTo) else None
        recipient = _recipient(body.to, contact)
        if isinstance(recipient, FieldError):
            faults.append(recipient)
        if body.template_id is None:
            content = _said_by(body, known)
        else:
            to = "" if isinstance(recipient, FieldError) else recipient
            content = _rendered(body, body.template_id, known, _reader(to, body.variables or {}, contact))
        if isinstance(content, list):
            faults.extend(content)
        elif isinstance(recipient, str) and (fault := admission.misaddressed(content["type"], recipient)) is not None:
            faults.append(fault)
        now = self._clock.now()
        moments = admission.moments(body.scheduled_time, body.expires_at, now)
        if isinstance(moments, FieldError):
            faults.append(moments)
        number_id = known.numbers[body.from_]
        if isinstance(number_id, FieldError):
            faults.append(number_id)
        if (
            faults
            or isinstance(recipient, FieldError)
            or isinstance(content, list)
            or isinstance(moments, FieldError)
            or isinstance(number_id, FieldError)
        ):
            self.count_rejected(faults)
            return faults
        return Message(
            id=MessageId(new_id("msg")),
            tenant_id=tenant_id,
            number_id=number_id,
            recipient=recipient,
            content=named_for_long(content, known.wamids, moments.not_before) if known.wamids else content,
            tier=body.priority.tier,
            status=Status.SCHEDULED if moments.is_scheduled else Status.ACCEPTED,
            accepted_at=now,
            not_before=moments.not_before,
            expires_at=moments.expires_at,
            on_unknown=body.on_unknown,
            reference=body.reference,
            metadata=body.metadata,
            traceparent=traceparent,
            needs_consent=body.consent is NeededConsent.REQUIRED,
            contact_id=None if contact is None else contact.id,
        )

    def count_rejected(self, faults: Sequence[FieldError]) -> None:
        """One message was turned down; of its faults the first counts."""
        self._metrics.count(MESSAGES_REJECTED_TOTAL, faults[0].code)

    async def accept(self, message: Message) -> None:
        """Store one message in a transaction shared with its contemporaries. Raises `Rejected` 503 when too many wait."""
        try:
            await self.singles.submit(message)
        except Full:
            self._metrics.count(MESSAGES_REJECTED_TOTAL, "gateway.overloaded")
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
    first = f"{faults[0].pointer or 'The message'} {faults[0].detail}"
    more = f"; {len(faults) - 1} more in errors" if len(faults) > 1 else ""
    return Rejected("request.invalid", f"{first}{more}.", errors=faults)


def _recipient(to: str | NamedTo, contact: Contact | None) -> str | FieldError:
    """The address that a message goes to."""
    if isinstance(to, str):
        return admission.normalized_address(to) or _NO_ADDRESS
    if to.whatsapp_group is not None:
        return f"{admission.GROUP}{to.whatsapp_group}"
    if contact is None:
        return _NO_SUCH_CONTACT
    return contact.identifiers.get("phone") or contact.identifiers.get("user_id") or _WITHOUT_PHONE


def _said_by(body: SendMessage, known: Known) -> Content | list[FieldError]:
    """What a body without `template_id` says, or what is wrong with that."""
    if body.text is not None and body.is_plain_text and len(body.text.body) <= LONGEST_TEXT:  # as most do
        return {"type": "text", "text": body.text.model_dump(mode="json", exclude_none=True)}
    content = content_of(body.type, body)
    faults = content if isinstance(content, list) else []
    if body.variables is not None:
        faults.append(_VARIABLES_OF_NOTHING)
    if faults or isinstance(content, list):
        return faults
    return unfilled_faults(content) or having_faults(content, known.having) or content


def _rendered(body: SendMessage, template_id: str, known: Known, reader: Named) -> Content | list[FieldError]:
    """What a template says to this reader, or why it cannot."""
    faults = [
        FieldError(f"/{name}", "field.surplus", "does not go together with template_id")
        for name in TYPES
        if getattr(body, name) is not None
    ]
    renderer = known.renderers[template_id]
    content = renderer if isinstance(renderer, Fault) else renderer.render_variant(0, reader)
    if isinstance(content, Fault):
        faults.append(FieldError(content.pointer or "/template_id", content.code, content.detail))
        return faults
    if faults or body.context is None:
        return faults or content
    return {**content, "context": {"message_id": body.context.message_id}}


def _reader(to: str, variables: Mapping[str, str], contact: Contact | None) -> Named:
    if contact is None:
        return Named(to, variables=variables)
    return Named(to, contact.name, contact.language, contact.attributes, variables)
