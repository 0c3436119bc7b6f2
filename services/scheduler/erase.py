"""The scheduler's part in the erasure of a person: nothing more leaves for them, and nothing is left of what did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from services.scheduler.conclude import End, conclude
from services.scheduler.domain.schedule import ScheduleState
from services.scheduler.domain.settlement import UNCONFIRMED
from services.scheduler.schedules import Asker, cancel
from services.scheduler.store import erasing as store
from shared.bus.outbox import Unit
from shared.clock import Clock
from shared.erasure.everywhere import EVERYWHERE
from shared.erasure.person import Person
from shared.erasure.steps import Part, Parts
from shared.events.catalogue import MessageCanceled
from shared.ids import TenantId

_OPEN = frozenset({ScheduleState.ACTIVE, ScheduleState.PAUSED})


@dataclass(frozen=True, slots=True)
class OwnParts:
    """With what they need."""

    clock: Clock

    def all(self) -> Parts:
        """Who asks for messages goes before the messages."""
        return Parts(
            (
                Part("schedules", store.schedules, self._schedules),
                Part("campaigns", store.campaigns, _campaigns),
                Part("runs", store.askings, _askings),
                Part("holds", store.holds, _holds),
                Part("recipients", store.recipients, _recipients),
                Part("suppressions", store.suppressions, _suppressions),
                Part("windows", store.windows, _windows),
                *EVERYWHERE,
            )
        )

    async def _schedules(self, unit: Unit, tenant_id: TenantId, person: Person, ids: Sequence[str]) -> None:
        for schedule_id in ids:
            row = await store.lock_schedule(unit.connection, tenant_id, schedule_id)
            if row is None:
                continue
            if row["state"] in _OPEN and store.is_for_nobody_else(row, person):
                await cancel(unit, Asker(tenant_id, self.clock.now()), schedule_id)
            await store.respell_schedule(unit.connection, row, person, schedule_id)


async def _campaigns(unit: Unit, tenant_id: TenantId, person: Person, ids: Sequence[str]) -> None:
    for campaign_id in ids:
        await store.redefine_campaign(unit.connection, tenant_id, person, campaign_id)


async def _askings(unit: Unit, _: TenantId, person: Person, ids: Sequence[str]) -> None:
    for run_id in ids:
        await store.rewrite_asking(unit.connection, person, run_id)


async def _holds(unit: Unit, _: TenantId, __: Person, message_ids: Sequence[str]) -> None:
    """What waits is canceled. Of what was sent with unknown outcome nobody waits for that any more."""
    rows = await store.take_holds(unit.connection, message_ids)
    waited = [row for row in rows if row["state"] != "unsettled"]
    unit.emit(
        *(
            MessageCanceled(tenant_id=row["tenant_id"], traceparent=row["traceparent"], message_id=row["message_id"])
            for row in waited
        )
    )
    await conclude(
        unit,
        [
            End(row["run_id"], row["message_id"], "unknown", UNCONFIRMED)
            if row["state"] == "unsettled"
            else End(row["run_id"], row["message_id"], "canceled", store.ERASED)
            for row in rows
            if row["run_id"]
        ],
    )


async def _recipients(unit: Unit, _: TenantId, __: Person, places: Sequence[store.Place]) -> None:
    await store.empty_recipients(unit.connection, places)


async def _suppressions(unit: Unit, tenant_id: TenantId, _: Person, addresses: Sequence[str]) -> None:
    await store.hide_suppressions(unit.connection, tenant_id, addresses)


async def _windows(unit: Unit, _: TenantId, __: Person, keys: Sequence[tuple[str, str]]) -> None:
    await store.delete_windows(unit.connection, keys)
