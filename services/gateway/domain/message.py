"""A message as it was admitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.gateway.domain.status import Status
from services.gateway.domain.timeline import line_of, name_of
from shared.events.catalogue import MessageAccepted
from shared.events.values import Hours, OnUnknown, Tier
from shared.ids import MessageId, NumberId, TenantId


@dataclass(slots=True, eq=False, repr=False)
class Message:
    """Ready to be stored. Holds text and phone number, so it has no `repr`; not frozen, because making a frozen one takes three
    times as long and thousands are made a second."""

    id: MessageId
    tenant_id: TenantId
    number_id: NumberId
    recipient: str
    content: dict[str, Any]
    tier: Tier
    status: Status
    accepted_at: datetime
    not_before: datetime
    expires_at: datetime | None
    on_unknown: OnUnknown
    reference: str | None
    metadata: dict[str, str] | None
    traceparent: str | None
    needs_consent: bool = True
    contact_id: str | None = None
    run_id: str | None = None
    hours: Hours | None = None
    graph: dict[str, Any] | None = None
    """What the front door keeps of it, None for messages that came another way: `input`, the recipient as the caller wrote it, and
    `opaque`, the caller's callback data."""

    def timeline(self) -> str:
        """Its first entries."""
        accepted = line_of(name_of(Status.ACCEPTED, self.accepted_at))
        if self.status is not Status.SCHEDULED:
            return accepted
        return accepted + line_of(name_of(Status.SCHEDULED, self.accepted_at))

    def accepted(self) -> MessageAccepted:
        """What the others are told."""
        return MessageAccepted(
            tenant_id=self.tenant_id,
            occurred_at=self.accepted_at,
            traceparent=self.traceparent,
            message_id=self.id,
            number_id=self.number_id,
            to=self.recipient,
            content=self.content,
            tier=self.tier,
            not_before=self.not_before,
            expires_at=self.expires_at,
            on_unknown=self.on_unknown,
            run_id=self.run_id,
            needs_consent=self.needs_consent,
            hours=self.hours,
        )
