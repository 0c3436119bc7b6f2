"""Remove what nothing names any more: parts of files that are read, media of entries that went, uploads that came to nothing."""

from __future__ import annotations

from typing import Final

import structlog

from services.archive.store import imports as store
from shared.db.pool import Pool
from shared.objects.store import ObjectsAway, ObjectStore

log = structlog.get_logger(__name__)

AT_ONCE: Final = 100
FAILED_AT_ONCE: Final = 3
WAITING_DAYS: Final = 7
"""So long an import waits for its file, or for its start."""


async def remove_leftovers(pool: Pool, objects: ObjectStore) -> bool:
    """Remove objects that are due; True where there may be more."""
    keys = await store.due_objects(pool, AT_ONCE)
    removed, failed = [], 0
    for key in keys:
        try:
            await objects.delete(key)
        except ObjectsAway as error:
            failed += 1
            log.warning("import.object_not_removed", error=str(error))
            if failed == FAILED_AT_ONCE:  # the store is away, rather than one object in a bad state
                break
        else:
            removed.append(key)
    if removed:
        await store.forget_objects(pool, removed)
    return len(removed) == AT_ONCE


async def end_abandoned(pool: Pool) -> bool:
    """Cancel imports whose owners left them; True where there may be more."""
    async with pool.acquire() as connection, connection.transaction():
        ended = await store.abandoned(connection, WAITING_DAYS, AT_ONCE)
    if ended:
        log.info("import.abandoned", imports=len(ended))
    return len(ended) == AT_ONCE
