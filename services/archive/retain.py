"""Take away what is older than its tenant wants it kept, or than the platform keeps anything.

A batch at a time, each a transaction of its own: a process that dies leaves whole entries behind, and the next one goes on. The
oldest entries go first, so months empty one after the other; those without entries are taken away whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import asyncpg
import structlog

from services.archive.cache import Changes
from services.archive.domain.entry import month_of
from services.archive.store import retention as store
from services.archive.store.removal import remove
from shared.clock import Clock
from shared.db.pool import Pool

log = structlog.get_logger(__name__)

BATCH: Final = 2_000
"""Entries removed by one transaction: about a tenth of a second."""
CONVERSATIONS_BATCH: Final = 500
EMPTY_DAYS: Final = 31
"""A month without entries is kept so long after its end: messages that come late are most often of the last one."""


class Retention:
    """Removes what is due. `months`: whole months that the platform keeps at most, besides the current one; 0 for ever."""

    def __init__(self, pool: Pool, clock: Clock, changes: Changes, *, months: int) -> None:
        self._pool = pool
        self._clock = clock
        self._changes = changes
        self._months = months

    async def remove(self) -> bool:
        """Remove a batch of one tenant's entries; True where there may be more. Several at once take different tenants."""
        now = self._clock.now()
        async with self._pool.acquire() as connection, connection.transaction():
            tenant = await store.claim_overdue(connection, now, self._kept_since(now))
            if tenant is None:
                return False
            keys = await store.overdue_entries(connection, tenant, BATCH)
            conversations = await remove(connection, keys)
            await store.count_removed(connection, tenant.tenant_no, now, len(keys))
        await self._changes.changed(conversations, [tenant.tenant_id])
        log.info("retention.removed", tenant_id=tenant.tenant_id, entries=len(keys), since=tenant.since.isoformat())
        return True

    async def tidy(self) -> bool:
        """Drop a month, and conversations, that have no entries any more; True where there may be more."""
        forgotten = await store.forget_empty_conversations(self._pool, CONVERSATIONS_BATCH)
        try:
            month = await store.drop_empty_month(self._pool, self._clock.now() - timedelta(days=EMPTY_DAYS))
        except asyncpg.LockNotAvailableError:  # too many readers and writers just now: it takes up little space and can wait
            log.info("retention.month_in_use")
            month = None
        if month is not None:
            log.info("retention.month_dropped", month=month.isoformat())
        return month is not None or forgotten == CONVERSATIONS_BATCH

    def _kept_since(self, now: datetime) -> datetime | None:
        """The first moment of the oldest month that the platform keeps."""
        if not self._months:
            return None
        month = month_of(now)
        for _ in range(self._months):
            month = month_of(month - timedelta(days=1))
        return month
