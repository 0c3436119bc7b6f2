"""The connections of searches: few, and planned for once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from services.archive.settings import SearchSettings
from shared.config import DatabaseSettings, ReplicaSettings
from shared.db.pool import Pool, open_pool
from shared.db.query_times import QueryTimes
from shared.db.replica import open_replica
from shared.telemetry.metrics import Metrics

PLANNED_ONCE: Final = {"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off", "max_parallel_workers_per_gather": "0"}
"""Each statement has one sensible plan, whatever is asked for: the words would only mislead the planner, and planning takes as long
as many a search."""


@asynccontextmanager
async def open_search_pool(
    db: DatabaseSettings, replica: ReplicaSettings, settings: SearchSettings, metrics: Metrics
) -> AsyncIterator[Pool]:
    """At the replica, where there is one; while it is away, and where there is none, at the primary."""
    few = db.model_copy(
        update={
            "pool_min": min(db.pool_min, settings.connections),
            "pool_max": settings.connections,
            "command_seconds": settings.statement_seconds + 1,
        }
    )
    milliseconds = f"{settings.statement_seconds * 1_000:.0f}"
    session = {**PLANNED_ONCE, "statement_timeout": milliseconds}
    at_primary = few.model_copy(update={"pool_min": 0}) if replica.url else few
    times = QueryTimes(metrics, "search")
    instead = QueryTimes(metrics, "search_instead") if replica.url else times
    async with (
        open_pool(at_primary, "archive", session, instead) as primary,
        open_replica(few, replica, "archive", primary, session, times) as pool,
    ):
        yield pool
