"""Whether the database answers soon: for work that has another way where it does not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import structlog

from shared.db.pool import Pool, check
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE_SECONDS: Final = 0.5
"""Far beyond what a statement takes, and short enough for a provider that waits: paid once in an outage, because from then on
nobody but the probe asks until the database has answered."""
PROBE_SECONDS: Final = 0.5


class Away(Exception):
    """The database does not answer, or not soon. What was asked of it may be done all the same."""


class Reach:
    """Asks the database and gives up soon. `patient`: there is no other way, so that the pool's own limits are waited for and
    `Away` is never raised.

    A statement that hangs is not cancelled, because asyncpg takes as long over that as over the statement: it ends by itself when
    its time is up.
    """

    def __init__(self, pool: Pool, *, patient: bool = False) -> None:
        self._pool = pool
        self._patient = patient
        self._group: asyncio.TaskGroup | None = None
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._back = asyncio.Event()
        self._back.set()

    @property
    def is_away(self) -> bool:
        """True from the first question without an answer until a probe has one."""
        return not self._back.is_set()

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Probe a database that is away, for as long as the block lasts; its end waits for the statements that are still out."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            probing = group.create_task(self._probe(), name="gateway.reach")
            try:
                yield
            finally:
                self._group = None
                probing.cancel()

    async def soon(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` returns, or raises for reasons of its own. Raises `Away`, at once while the database is known to be away."""
        group = self._group
        if self._patient or group is None:
            return await work()
        if self.is_away:
            raise Away
        asking = group.create_task(_outcome(work), name="gateway.ask")
        await asyncio.wait((asking, self._lost), timeout=PATIENCE_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not asking.done():
            self._lose("TimeoutError")
            raise Away
        result = asking.result()
        if isinstance(result, _Failed):
            if is_unavailable(result.error):
                self._lose(type(result.error).__name__)
                raise Away from result.error
            raise result.error
        return result

    async def until_back(self, seconds: float) -> bool:
        """Wait so long at most for a database that is away; False where it still is."""
        try:
            async with asyncio.timeout(seconds):
                await self._back.wait()
        except TimeoutError:
            return False
        return True

    def _lose(self, error: str) -> None:
        if not self.is_away:
            log.warning("database.away", error=error)
            self._back.clear()
            self._lost.set_result(None)

    async def _probe(self) -> None:
        while True:
            await asyncio.wait((self._lost,))
            await asyncio.sleep(PROBE_SECONDS)
            try:
                await check(self._pool)
            except Exception as error:
                if not is_unavailable(error):
                    raise
            else:
                self._lost = asyncio.get_running_loop().create_future()
                self._back.set()
                log.info("database.back")


class _Failed:
    """What work has raised. As a task's own exception it would end the whole group."""

    def __init__(self, error: Exception) -> None:
        self.error = error


async def _outcome(work: Callable[[], Awaitable[T]]) -> T | _Failed:
    try:
        return await work()
    except Exception as error:  # noqa: BLE001  # handed to whoever asked, if they still wait
        return _Failed(error)
