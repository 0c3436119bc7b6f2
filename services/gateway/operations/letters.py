"""Dead letters of all queues: one operator looks at a time, because whoever looks at a queue of the broker has it in hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import asyncpg

from services.gateway.store import operators as store
from shared.bus.dead_letters import DeadLetter, Wanted
from shared.bus.interface import Bus, Uncertain, UnknownQueue
from shared.db.pool import Pool
from shared.errors import Rejected

CHECK_SECONDS: Final = 2.0
_NEVER: Final = datetime.fromtimestamp(0, UTC)


class Letters:
    """`bus` holds them; `pool` has the lock between replicas of this service."""

    def __init__(self, bus: Bus, pool: Pool) -> None:
        self._bus = bus
        self._pool = pool

    async def newest_first(self, queues: Iterable[str]) -> tuple[Sequence[DeadLetter], int]:
        """Those that can be seen, and how many there are in all. Raises `Rejected` 404 for a queue that there is not."""
        letters: list[DeadLetter] = []
        total = 0
        async with self._alone():
            for queue in queues:
                with_queue = await self._look(queue)
                letters += with_queue[0]
                total += with_queue[1]
        return sorted(letters, key=place_of, reverse=True), total

    async def find(self, queues: Iterable[str], letter_id: str) -> DeadLetter | None:
        """Where it is to be seen."""
        async with self._alone():
            for queue in queues:
                for letter in (await self._look(queue))[0]:
                    if letter.letter_id == letter_id:
                        return letter
        return None

    async def settle(self, queues: Iterable[str], wanted: Wanted, *, replay: bool) -> int:
        """See `Bus.settle_dead_letters`."""
        count = 0
        async with self._alone():
            for queue in queues:
                try:
                    count += await self._bus.settle_dead_letters(queue, wanted, replay=replay)
                except UnknownQueue:
                    raise _unknown(queue) from None
        return count

    async def _look(self, queue: str) -> tuple[Sequence[DeadLetter], int]:
        try:
            found = await self._bus.dead_letters(queue)
        except UnknownQueue:
            raise _unknown(queue) from None
        return found.letters, found.total

    async def _check(self) -> None:
        """Looking may take long, and holds up the next operator: a broker that hangs is found before. Raises `BusError`."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._bus.check()
        except TimeoutError:
            raise Uncertain("the broker does not answer") from None

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        await self._check()
        async with self._pool.acquire() as connection:
            try:
                await store.lock_letters(connection)
            except asyncpg.LockNotAvailableError:
                raise Rejected(
                    "dead_letters.busy", "Another operator has them in hand; try again.", 503, retry_after_seconds=2
                ) from None
            except BaseException:
                connection.terminate()  # the lock may have been given all the same, and the pool takes nothing back
                raise
            try:
                yield
            finally:
                try:
                    await store.unlock_letters(connection)
                except BaseException:
                    connection.terminate()
                    raise


def place_of(letter: DeadLetter) -> tuple[int, str]:
    """Where it stands in lists: by when it died, in milliseconds, then by its id."""
    return int((letter.died_at or _NEVER).timestamp() * 1000), letter.letter_id


def _unknown(queue: str) -> Rejected:
    return Rejected("queue.unknown", f"There is no queue {queue}.", 404)
