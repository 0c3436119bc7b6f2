"""What is measured in the tables: a few rows by index each, however many there are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from shared.db.pool import Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("metrics.sql"))
PAUSED_NUMBERS: Final = sql["paused_numbers"]
UNKNOWN_ATTEMPTS: Final = sql["unknown_attempts"]
WAITING_DELIVERIES: Final = sql["waiting_deliveries"]
OLDEST_DUE_DELIVERY: Final = sql["oldest_due_delivery"]
FAILING_CALLBACKS: Final = sql["failing_callbacks_now"]

MOST: Final = 10_000
"""Rows that are counted; a scrape must not take longer the more there are."""
MOST_CALLBACKS: Final = 1_000


class Unknown(NamedTuple):
    """Attempts of unknown outcome: how many, and for how long the oldest."""

    attempts: int
    oldest_seconds: float


class Waiting(NamedTuple):
    """Deliveries to callbacks: how many wait, and for how many seconds the oldest has been due to one that answers."""

    deliveries: int
    due_seconds: float


async def paused_numbers(pool: Pool) -> Mapping[str, int]:
    """By the code of the reason."""
    return {row["code"]: row["numbers"] for row in await pool.fetch(PAUSED_NUMBERS)}


async def unknown_attempts(pool: Pool) -> Unknown:
    """Those that may still be reported; counted to `MOST`."""
    [row] = await pool.fetch(UNKNOWN_ATTEMPTS, MOST)
    return Unknown(row["attempts"], row["oldest_seconds"])


async def waiting_deliveries(pool: Pool) -> Waiting:
    """Counted to `MOST`, estimated beyond; the oldest of `MOST_CALLBACKS` callbacks."""
    deliveries = await pool.fetchval(WAITING_DELIVERIES, MOST)
    return Waiting(deliveries, await pool.fetchval(OLDEST_DUE_DELIVERY, MOST_CALLBACKS) if deliveries else 0.0)


async def failing_callbacks(pool: Pool) -> int:
    """Those that are on and have failed last."""
    count: int = await pool.fetchval(FAILING_CALLBACKS)
    return count
