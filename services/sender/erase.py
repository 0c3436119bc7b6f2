"""The sender's part in the erasure of a person."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from services.sender.store import erasing as store
from shared.bus.outbox import Unit
from shared.erasure.everywhere import EVERYWHERE
from shared.erasure.person import Person
from shared.erasure.steps import Part, Parts
from shared.ids import TenantId


async def _deliveries(unit: Unit, _: TenantId, __: Person, ids: Sequence[str]) -> None:
    await store.erase_deliveries(unit.connection, ids)


async def _attempts(unit: Unit, _: TenantId, __: Person, items: Sequence[store.Attempt]) -> None:
    await store.empty_attempts(unit.connection, items)


PARTS: Final = Parts(
    (
        Part("callback_deliveries", store.deliveries, _deliveries),
        Part("attempts", store.attempts, _attempts),
        *EVERYWHERE,
    )
)
