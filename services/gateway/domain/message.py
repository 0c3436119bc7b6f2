"""A message as it was admitted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.gateway.domain.status import Status
from shared.events.catalogue import MessageAccepted, Tier
from shared.ids import MessageId, NumberId, TenantId


@dataclass(frozen=True, slots=True, repr=False)
class Message:
    """Ready to be stored. Holds text and phone number, so it has no `repr`."""

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
    reference: str | None
    metadata: dict[str, str] | None
    traceparent: str | None

    def accepted(self) -> MessageAccepted:
        """What the others are told."""
        return MessageAccepted(
            tenant_id=self.tenant_id,
            traceparent=self.traceparent,
            message_id=self.id,
            number_id=self.number_id,
            to=self.recipient,
            content=self.content,
            tier=self.tier,
            not_before=self.not_before,
            expires_at=self.expires_at,
        )
