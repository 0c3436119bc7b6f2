"""A replica: read from while it is there, and the primary while it is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import pytest

from local.ports import free_port
from shared.config import ReplicaSettings
from shared.db import replica as module
from shared.db.pool import BoundedPool, Connection, Pool, open_pool
from shared.db.replica import open_replica
from tests.support.database import Database
from tests.support.proxy import Proxy

AT_REPLICA: Final = {"application_name": "at the replica"}


@asynccontextmanager
async def replica_at(database: Database, url: str, *, pool_max: int = 2) -> AsyncIterator[Pool]:
    hurried = {"acquire_seconds": 1.5, "command_seconds": 1.5}
    settings = database.settings_for("archive", pool_max=pool_max).model_copy(update=hurried)
    async with (
        open_pool(settings, "archive") as primary,
        open_replica(settings, ReplicaSettings(url=url), "archive", primary, AT_REPLICA) as pool,
    ):
        yield pool


async def asked(pool: Pool) -> str:
    """Who answers."""
    return str(await pool.fetchval("SELECT current_setting('application_name')"))


async def test_without_a_replica_the_primary_is_read(database: Database) -> None:
    async with replica_at(database, "") as pool:
        assert await asked(pool) == "chasqui archive"


async def test_a_replica_is_read_by_every_way_of_asking(database: Database) -> None:
    async with replica_at(database, database.url) as pool:
        for _ in range(3):
            assert await asked(pool) == "at the replica"
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT current_setting('application_name')") == "at the replica"
            held = await pool.acquire()
            await pool.release(held)


async def test_a_service_starts_and_reads_without_its_replica(database: Database) -> None:
    async with replica_at(database, f"postgresql://127.0.0.1:{free_port()}/x") as pool:
        for _ in range(3):  # each connection is given back to where it is from
            assert await asked(pool) == "chasqui archive"
            async with pool.acquire() as connection:
                assert await connection.fetchval("SELECT current_setting('application_name')") == "chasqui archive"
            held = await pool.acquire()
            await pool.release(held)


async def test_a_replica_that_falls_silent_is_not_waited_for_and_is_read_again_when_it_is_back(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Proxy.to(database.url) as proxy, replica_at(database, proxy.url) as pool:
        assert await asked(pool) == "at the replica"
        proxy.silent = True
        with pytest.raises(TimeoutError):
            await asked(pool)  # what was under way when it went is lost
        async with asyncio.timeout(90):
            while await said(pool) != "chasqui archive":
                pass
        tried: list[str] = []

        async def spy(one: Pool, timeout: float | None) -> Connection:
            if one is pool:
                tried.append("the replica")
            return await Pool._acquire(one, timeout)  # type: ignore[attr-defined,no-any-return]  # the stubs leave it out

        monkeypatch.setattr(BoundedPool, "_acquire", spy, raising=False)
        assert [await asked(pool) for _ in range(5)] == ["chasqui archive"] * 5
        assert tried == []
        proxy.silent = False
        monkeypatch.setattr(module, "AWAY_SECONDS", 0.0)
        async with asyncio.timeout(90):
            while await said(pool) != "at the replica":
                await asyncio.sleep(0.02)


async def said(pool: Pool) -> str | None:
    """Who answers; None where nobody does."""
    try:
        return await asked(pool)
    except TimeoutError:
        return None


async def test_a_busy_replica_is_no_burden_to_the_primary(database: Database) -> None:
    async with replica_at(database, database.url) as pool, pool.acquire(), pool.acquire():
        with pytest.raises(TimeoutError):
            await asked(pool)
