"""What is done for callbacks on the clock: those that fail for days are turned off, what ends with them, what is forgotten."""

from __future__ import annotations

from typing import Final

from services.sender.callbacks.endpoints import turn_off
from services.sender.domain.callback import DISABLED, FAILING_HOURS, DeliveryState
from services.sender.store import callback_deliveries, callbacks
from shared import idempotency
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.every import Every

FAILING: Final = "callback.failing"
SWEEP_SECONDS: Final = 10.0
FAILING_SECONDS: Final = 60.0
PRUNE_SECONDS: Final = 600.0
DELIVERED_DAYS: Final = 7
FAILED_DAYS: Final = 30
BATCH: Final = 5_000
CALLBACKS: Final = 100
TOMBSTONE_MINUTES: Final = 10
"""By then no update that was on its way to a deleted callback comes any more."""
KEYS_LIMIT: Final = 5_000


def jobs(outbox: Outbox, pool: Pool) -> list[Every]:
    return [
        Every("sender.callbacks.sweep", SWEEP_SECONDS, lambda: sweep(pool)),
        Every("sender.callbacks.turn_off", FAILING_SECONDS, lambda: turn_off_failing(outbox, pool)),
        Every("sender.callbacks.prune", PRUNE_SECONDS, lambda: prune(pool)),
        Every("sender.prune_keys", PRUNE_SECONDS, lambda: idempotency.prune(pool, limit=KEYS_LIMIT)),
    ]


async def sweep(pool: Pool) -> bool:
    """End what waits for disabled callbacks, forget all of deleted ones; True where there may be more."""
    more = False
    for callback_id, state in await callbacks.turned_off(pool, CALLBACKS):
        if state == "deleted":
            more |= await callback_deliveries.delete(pool, callback_id, limit=BATCH)
        else:
            more |= await callback_deliveries.fail_waiting(pool, callback_id, DISABLED, limit=BATCH)
    await callbacks.forget_deleted(pool, minutes=TOMBSTONE_MINUTES)
    return more


async def turn_off_failing(outbox: Outbox, pool: Pool) -> bool:
    """Those that have failed for five days; True where there may be more."""
    found = await callbacks.failing(pool, hours=FAILING_HOURS, limit=CALLBACKS)
    for callback_id, tenant_id in found:
        await turn_off(outbox, tenant_id, callback_id, FAILING)
    return len(found) == CALLBACKS


async def prune(pool: Pool) -> bool:
    """Forget what was delivered a week ago and what failed a month ago; True where there may be more."""
    more = await callback_deliveries.prune(pool, DeliveryState.DELIVERED, days=DELIVERED_DAYS, limit=BATCH)
    return await callback_deliveries.prune(pool, DeliveryState.FAILED, days=FAILED_DAYS, limit=BATCH) or more
