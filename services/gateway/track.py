"""Keep the public state of messages in step with what scheduler and sender tell."""

from __future__ import annotations

from collections.abc import Sequence

from services.gateway.domain.status import changes_of
from services.gateway.store import messages
from shared.bus.outbox import Outbox
from shared.events.event import Event


async def track(outbox: Outbox, events: Sequence[Event]) -> None:
    """Write what the events tell; telling twice changes nothing."""
    async with outbox.transaction() as unit:
        await messages.apply(unit.connection, [change for event in events for change in changes_of(event)])
