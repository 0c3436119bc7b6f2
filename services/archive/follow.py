"""Follow what is stored: counts and analyses that are kept beside the rows of search, a little later, each row once.

A row carries the transaction that stored it (`search_rows.stored_in`). Once all transactions below a number have ended, their rows
are complete and no other can come in below it: so a follower takes the rows of whole transactions in that order, and its effect and
its new place commit together. Recording pays nothing for its followers, and a follower that was away catches up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import asyncpg

from services.archive.store import follow as store
from shared.db.pool import Connection, Pool

STEP_ROWS: Final = 20_000
"""A step takes about so many rows, and whatever else the last of their transactions stored."""
STEP_SECONDS: Final = 60.0


class Span(NamedTuple):
    """The rows with `low <= stored_in < high`; those of both ends' transactions are whole."""

    low: int
    high: int


Effect = Callable[[Connection, Span], Awaitable[bool | None]]
"""Applies the rows of a span in the transaction it is given, which sees one state of the tables from beginning to end (repeatable
read). It is called with a span without rows, too, where there is nothing new, for what else it has to catch up with; True: there is
more of that."""


class Follower:
    """One follower. Any number of replicas may run it: the one that has its row works, the others' steps do nothing."""

    def __init__(self, pool: Pool, name: str, effect: Effect, *, rows: int = STEP_ROWS) -> None:
        self._pool = pool
        self._name = name
        self._effect = effect
        self._rows = rows

    async def step(self) -> bool:
        """Take the next rows; True where there may be more at once. Whatever the effect raises undoes the step.

        The effect's statements may take `STEP_SECONDS` each on the server; asyncpg's own limit is for the effect to raise, by
        `timeout=`.
        """
        async with self._pool.acquire() as connection:
            try:
                async with connection.transaction(isolation="repeatable_read"):
                    await store.allow_seconds(connection, STEP_SECONDS)
                    low = await store.claim(connection, self._name)
                    if low is not None:
                        return await self._take(connection, low)
            except asyncpg.SerializationError:
                return False  # another replica has just moved the place
            await store.start(connection, self._name)
            return False

    async def catch_up(self) -> None:
        """Take all rows that are there now, unless another replica is about it."""
        while await self.step():
            pass

    async def _take(self, connection: Connection, low: int) -> bool:
        high, has_rows = await store.until(connection, low, self._rows)
        has_more = await self._effect(connection, Span(low, high))
        if has_rows:
            await store.move(connection, self._name, high)
        return has_rows or bool(has_more)
