"""Ask for a message not to leave."""

from __future__ import annotations

from services.gateway.domain.status import RANKS, Status
from services.gateway.store import messages
from shared.bus.outbox import Unit
from shared.errors import Rejected
from shared.events.catalogue import MessageCancelRequested
from shared.ids import MessageId, TenantId
from shared.telemetry.tracing import current_traceparent


async def request(unit: Unit, tenant_id: TenantId, message_id: str) -> Status | None:
    """Ask the scheduler to let go of the message; returns its status now, None where the tenant has no such message.

    Asking for one that is canceled already is fine. Raises `Rejected` 409 where it has left or ended another way.
    """
    row = await messages.find(unit.connection, tenant_id, message_id)
    if row is None:
        return None
    status = Status(row["status"])
    if status is Status.CANCELED:
        return status
    if RANKS[status] >= RANKS[Status.SENDING]:
        raise Rejected("message.not_cancelable", f"The message is {status.value}; it can no longer be canceled.", 409)
    unit.emit(MessageCancelRequested(tenant_id=tenant_id, traceparent=current_traceparent(), message_id=MessageId(message_id)))
    return status
