"""Followers take rows of transactions that all others before have ended; in a cluster of many tests others are always about."""

from __future__ import annotations

from typing import Final

from services.archive.follow import Follower
from services.archive.statistics import counting
from shared.db.pool import Pool
from tests.support.platform import until

_NOW: Final = "SELECT pg_current_xact_id()::text::bigint"
_HORIZON: Final = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint"


async def all_ended(pool: Pool) -> None:
    """Wait until no transaction runs any more that had begun when this was called, in any database of the cluster."""
    now = await pool.fetchval(_NOW)

    async def reached() -> bool:
        return bool(await pool.fetchval(_HORIZON) > now)

    await until(reached, "transactions elsewhere to end", 180)


async def follow(pool: Pool, follower: Follower) -> None:
    """Have it take everything that is stored by now."""
    await all_ended(pool)
    await follower.catch_up()


async def catch_up(pool: Pool) -> None:
    """Count the statistics of everything that is stored by now."""
    await all_ended(pool)
    await counting.catch_up(pool)
