"""Keep the public state of messages in step with what scheduler and sender tell."""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.domain.status import RANKS, Status, changes_of
from services.gateway.store import messages
from shared.bus.outbox import Outbox
from shared.events.catalogue import MessageConfirmed, MessageUnsettled
from shared.events.event import Event


async def track(outbox: Outbox, events: Sequence[Event]) -> None:
    """Write what the events tell; telling twice changes nothing.

    A report can come before the sender says that it does not know the outcome; then it is confirmed here, otherwise where the
    report is read (`ingest`). Both hold the message's row, so one of them sees the other.
    """
    async with outbox.transaction() as unit:
        applied = await messages.apply(unit.connection, [change for event in events for change in changes_of(event)])
        for event in events:
            if not isinstance(event, MessageUnsettled):
                continue
            before = applied.before.get(event.message_id)
            if before is not None and before["wamid"] is not None and RANKS[Status(before["status"])] >= RANKS[Status.SENT]:
                unit.emit(
                    MessageConfirmed(
                        tenant_id=event.tenant_id,
                        traceparent=event.traceparent,
                        message_id=event.message_id,
                        attempt=event.attempt,
                        wamid=before["wamid"],
                    )
                )
