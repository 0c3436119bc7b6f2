"""Connections for reads that may be a moment behind: at a replica, and at the primary while that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

import structlog

from shared.config import DatabaseSettings, ReplicaSettings
from shared.db.pool import BoundedPool, Pool, opened
from shared.db.query_times import QueryTimes
from shared.unavailable import is_unavailable

if TYPE_CHECKING:
    import asyncpg
    from asyncpg.pool import PoolConnectionProxy

    Lent = PoolConnectionProxy[asyncpg.Record]

log = structlog.get_logger(__name__)

AWAY_SECONDS: Final = 5.0
"""One caller finds out so often whether a replica is back."""


@asynccontextmanager
async def open_replica(
    settings: DatabaseSettings,
    replica: ReplicaSettings,
    service: str,
    primary: Pool,
    session: Mapping[str, str] | None = None,
    times: QueryTimes | None = None,
) -> AsyncIterator[Pool]:
    """A pool at the replica, as `open_pool`; `primary` itself where the settings name none. Connects when it is first asked, so
    that a service starts without its replica."""
    if not replica.url:
        yield primary
        return
    at_replica = settings.model_copy(update={"url": replica.url, "pool_min": 0})
    async with opened(_ReplicaPool, at_replica, service, session, times, primary=primary) as pool:
        yield pool


class _ReplicaPool(BoundedPool):
    """Gives the primary's connections while the replica gives none. What was asked of a replica that goes away just then fails,
    once a connection; all connections being busy is no reason to burden the primary."""

    def __init__(self, dsn: str, *, primary: Pool, **rest: Any) -> None:
        super().__init__(dsn, **rest)
        self._primary = primary
        self._lent: set[Lent] = set()
        self._is_away = False
        self._away_until = 0.0

    async def _acquire(self, timeout: float | None) -> Lent:  # noqa: ASYNC109  # the signature is asyncpg's (0.32)
        now = asyncio.get_running_loop().time()
        if not self._is_away or now >= self._away_until:
            self._away_until = now + AWAY_SECONDS  # meant for the others, where it was away
            try:
                connection: Lent = await super()._acquire(timeout)  # type: ignore[misc]  # the stubs leave it out
            except Exception as error:
                if not is_unavailable(error) or self._is_busy(error):
                    raise
                self._note_away(error)
            else:
                if self._is_away:
                    self._is_away = False
                    log.info("replica.back")
                return connection
        connection = await self._primary.acquire()
        self._lent.add(connection)
        return connection

    async def release(self, connection: Lent, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # as above
        if connection in self._lent:
            self._lent.discard(connection)
            await self._primary.release(connection, timeout=timeout)
        else:
            await super().release(connection, timeout=timeout)

    def _is_busy(self, error: Exception) -> bool:
        return isinstance(error, TimeoutError) and self.get_size() == self.get_max_size()

    def _note_away(self, error: Exception) -> None:
        self._away_until = asyncio.get_running_loop().time() + AWAY_SECONDS
        if not self._is_away:
            self._is_away = True
            log.warning("replica.away", error=type(error).__name__)
