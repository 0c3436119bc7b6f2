"""PostgreSQL and Redis slow, locked or away."""

from __future__ import annotations

import asyncio
from pathlib import Path

from shared.ids import new_id
from tests.integration.alerts.watching import Watch, assert_fires, held, total, values, watching
from tests.support.assembly import assembled
from tests.support.database import Database
from tests.support.proxy import Proxy


async def test_a_locked_table_exhausts_the_pool_and_makes_statements_slow(watch: Watch) -> None:
    before = await watch.scrape()
    async with (
        asyncio.TaskGroup() as group,
        held(watch.assembly.database.admin_url, "LOCK TABLE gateway.contacts IN ACCESS EXCLUSIVE MODE"),
    ):
        for _ in range(10):
            group.create_task(insist(watch))
        during = await watch.until(
            lambda now: (
                total(now, "chasqui_db_pool_connections", service="gateway", pool="main", state="in_use")
                >= total(now, "chasqui_db_pool_connections", service="gateway", pool="main", state="max")
            ),
            "all connections to be in use",
        )
        await watch.until(
            lambda now: total(now, "chasqui_http_requests_total", service="gateway", status="503") >= 10, "requests to fail"
        )
    after = await watch.until(lambda now: total(now, "chasqui_db_slow_queries_total", service="gateway"), "slow statements")
    await assert_fires("ChasquiDatabasePoolExhausted", before, during, service="gateway", pool="main")
    await assert_fires("ChasquiSlowQueries", before, after, service="gateway")
    await assert_fires("ChasquiDatabaseSlow", before, after, service="gateway")
    await assert_fires("ChasquiErrorBudgetBurnsFast", before, after, step="5m", at="275m")
    await assert_fires("ChasquiErrorBudgetBurnsSlowly", before, after, step="5m", at="275m")


async def insist(watch: Watch) -> None:
    """Many times, of two seconds each while the table is locked: all wait at the same time for long enough to be seen."""
    for _ in range(15):
        await watch.api.call("GET", "/api/contacts")


async def test_redis_away_is_told(database: Database, redis_url: str, tmp_path: Path) -> None:
    async with (
        Proxy.to(redis_url) as redis,
        assembled(database, redis.url, tmp_path / "journal") as assembly,
        watching(assembly) as watch,
    ):
        before = await watch.scrape()
        redis.silent = True
        for _ in range(5):
            await watch.api.get("/api/groups")
            await watch.api.call("GET", f"/api/groups/{new_id('grp')}")
        during = await watch.until(lambda now: total(now, "chasqui_cache_reads_total", result="away"), "reads without it")
        await assert_fires("ChasquiCacheAway", before, during)


async def test_reads_of_what_is_not_in_the_cache_are_misses(watch: Watch) -> None:
    before = await watch.scrape()
    for _ in range(16):
        async with asyncio.TaskGroup() as group:
            for _ in range(25):
                group.create_task(watch.api.call("GET", f"/api/groups/{new_id('grp')}"))
    after = await watch.until(lambda now: total(now, "chasqui_cache_reads_total", result="miss") >= 400, "misses")
    await assert_fires("ChasquiCacheMisses", before, after, service="gateway")


async def test_what_a_source_cannot_read_is_told(watch: Watch) -> None:
    before = await watch.scrape()
    async with held(watch.assembly.database.admin_url, "LOCK TABLE sender.attempts, sender.outbox IN ACCESS EXCLUSIVE MODE"):
        during = await watch.until(
            lambda now: (
                total(now, "chasqui_metrics_source_failures_total", service="sender")
                and not values(now, "chasqui_outbox_oldest_age_seconds", service="sender")
            ),
            "a failure, and nothing from the outbox",
        )
    await assert_fires("ChasquiMetricsIncomplete", before, during, service="sender")
    await assert_fires("ChasquiDatabaseAway", before, during, service="sender")
