"""How the messages of runs end, and what the provider says of them afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple

from services.scheduler.domain.run import RecipientState
from services.scheduler.store import holds
from services.scheduler.store import recipients as ledger
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import MessageRequestRefused, RunReported
from shared.events.values import DeliveryStatus

_ENDS: Final = {"refused": RecipientState.FAILED}
"""What is refused at its release is a message that has failed; only what never was a message is `rejected`."""


class End(NamedTuple):
    """A message of a run has ended: `sent`, `failed`, `refused`, `canceled`, `expired`, `suppressed`, `rejected` or `unknown`."""

    run_id: str
    message_id: str
    state: str
    code: str | None = None
    detail: str | None = None


async def conclude(unit: Unit, ends: Sequence[End]) -> None:
    """Write how recipients have ended, in the transaction that ends their messages. One that has ended stays as it is, and of a
    message that was withdrawn nothing is learned any more. Waits for no run's row, whatever is locked already."""
    if ends:
        await ledger.conclude(
            unit.connection,
            [
                ledger.Conclusion(
                    end.run_id, end.message_id, _ENDS.get(end.state) or RecipientState(end.state), end.code, end.detail
                )
                for end in ends
            ],
        )


async def refuse(outbox: Outbox, events: Sequence[MessageRequestRefused]) -> None:
    """What the gateway did not accept will have no message. What it refused when it was asked, and accepted when it was asked
    again, has one: of the two what is heard first counts."""
    async with outbox.transaction() as unit:
        open_ids = await ledger.lock_requested(unit.connection, [event.message_id for event in events])
        held = await holds.known(unit.connection, sorted(open_ids))
        await conclude(
            unit,
            [
                End(event.run_id, event.message_id, RecipientState.REJECTED, event.code, event.detail)
                for event in events
                if event.message_id in open_ids - held
            ],
        )


async def report(outbox: Outbox, events: Sequence[RunReported]) -> None:
    """Keep when messages were delivered, read or found undeliverable. Reports come late, twice and out of order; who has read a
    message has got it, whether that was told or not."""
    told: dict[tuple[str, str], dict[DeliveryStatus, datetime]] = {}
    for event in events:
        moments = told.setdefault((event.run_id, event.message_id), {})
        moments[event.status] = min(moments.get(event.status, event.status_at), event.status_at)
    reports = [
        ledger.Report(
            run_id,
            message_id,
            moments.get(DeliveryStatus.DELIVERED, moments.get(DeliveryStatus.READ)),
            moments.get(DeliveryStatus.READ),
            moments.get(DeliveryStatus.FAILED),
        )
        for (run_id, message_id), moments in told.items()
        if moments.keys() & {DeliveryStatus.DELIVERED, DeliveryStatus.READ, DeliveryStatus.FAILED}
    ]
    if reports:
        async with outbox.transaction() as unit:
            await ledger.report(unit.connection, reports)
