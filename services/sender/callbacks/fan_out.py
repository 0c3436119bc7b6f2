"""Updates in: a delivery for each callback that wants to hear of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

import asyncpg

from services.sender.domain.callback import CallbackFormat, body_of, selects
from services.sender.store import callback_deliveries, callbacks
from services.sender.store.callback_deliveries import Told
from shared.db.pool import Pool
from shared.events.catalogue import UpdateTold
from shared.ids import new_id


async def fan_out(pool: Pool, updates: Sequence[UpdateTold], wake: Callable[[Iterable[str]], None]) -> None:
    """Two statements for the batch. Told twice, an update is one delivery. `wake` tells the crew."""
    of_tenant: dict[str, list[asyncpg.Record]] = defaultdict(list)
    for row in await callbacks.enabled(pool, {update.tenant_id for update in updates}):
        of_tenant[row["tenant_id"]].append(row)
    told = [
        Told(new_id("dlv"), row["id"], update.update_id, update.type, update.number_id, update.at, body)
        for update in updates
        for row in of_tenant.get(update.tenant_id, ())
        if selects(row["events"], row["number_ids"], update)
        and (body := body_of(CallbackFormat(row["format"]), update)) is not None
    ]
    if told:
        await callback_deliveries.insert(pool, told)
        wake({one.callback_id for one in told})
