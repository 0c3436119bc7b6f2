"""What is measured in the tables: a few rows by index each, however many there are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from shared.db.pool import Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("metrics.sql"))
OPEN_IMPORTS: Final = sql["open_imports"]
OPEN_EXPORTS: Final = sql["open_exports"]
FOLLOWED_UNTIL: Final = sql["followed_until"]
STALE_SINCE: Final = sql["stale_since"]


class Open(NamedTuple):
    """How many there are in each state that some are in, and the longest time that one of them has waited or stood still."""

    by_state: Mapping[str, int]
    oldest_seconds: float


class Stale(NamedTuple):
    """For how long days and words have been to be counted anew; below 0 where they lie ahead, None where there are none."""

    days: float | None
    words: float | None


async def open_imports(pool: Pool) -> Open:
    """Those that are not over; of those that are worked on how long one has made no progress."""
    rows = await pool.fetch(OPEN_IMPORTS)
    return Open({row["state"]: row["imports"] for row in rows}, max((row["idle_seconds"] for row in rows), default=0.0))


async def open_exports(pool: Pool) -> Open:
    """Those that are not over, and how old the oldest is."""
    rows = await pool.fetch(OPEN_EXPORTS)
    return Open({row["state"]: row["exports"] for row in rows}, max((row["oldest_seconds"] for row in rows), default=0.0))


async def followed_until(pool: Pool, names: Collection[str]) -> Mapping[str, str | None]:
    """By the followers that have begun: the entry that each comes to next, None for one that has come to all."""
    return {row["name"]: row["entry_id"] for row in await pool.fetch(FOLLOWED_UNTIL, list(names))}


async def stale_since(pool: Pool) -> Stale:
    """How far the counting of what changed is behind."""
    [row] = await pool.fetch(STALE_SINCE)
    return Stale(row["days"], row["words"])
