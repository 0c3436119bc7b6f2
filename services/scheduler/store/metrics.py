"""What the tables tell about the scheduler's load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.db.pool import Pool
from shared.db.queries import Queries
from shared.events.values import Tier

_sql = Queries(Path(__file__).with_name("metrics.sql"))
MEASURE_HOLDS: Final = _sql["measure_holds"]
MEASURE_OLDEST_DUE: Final = _sql["measure_oldest_due"]
MEASURE_CAMPAIGNS: Final = _sql["measure_campaigns"]
MEASURE_SCHEDULES: Final = _sql["measure_schedules"]


async def holds(pool: Pool) -> Mapping[tuple[Tier, str], int]:
    """Messages held, by tier and state; what there is none of is left out."""
    return {(Tier(row["tier"]), row["state"]): row["holds"] for row in await pool.fetch(MEASURE_HOLDS)}


async def oldest_due(pool: Pool) -> Mapping[Tier, float]:
    """Seconds, of the tiers in which something is due."""
    return {Tier(row["tier"]): row["seconds"] for row in await pool.fetch(MEASURE_OLDEST_DUE)}


async def campaigns(pool: Pool) -> Mapping[str, int]:
    """Campaigns that are on, by state."""
    return {row["state"]: row["runs"] for row in await pool.fetch(MEASURE_CAMPAIGNS)}


async def schedules_due(pool: Pool) -> int:
    """Schedules that wait for the planner."""
    count: int = await pool.fetchval(MEASURE_SCHEDULES)
    return count
