"""Statements are timed on every way they go, and slow ones are told by what they are, never by what they were given."""

from __future__ import annotations

import asyncpg
import pytest
from structlog.testing import capture_logs

from shared.db import query_times as module
from shared.db.pool import open_pool
from shared.db.query_times import QueryTimes
from shared.telemetry.metrics import Metrics
from tests.support.database import Database
from tests.support.scraped import ask_every_time, scraped

SECRET = "+4915112345678"


@pytest.fixture(autouse=True)
def _ask_every_time(monkeypatch: pytest.MonkeyPatch) -> None:
    ask_every_time(monkeypatch)


async def test_statements_and_connections_are_measured(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 3_600)  # none is, however busy the machine is
    metrics = Metrics("gateway")
    settings = database.settings_for("gateway", pool_max=3)
    async with open_pool(settings, "gateway", times=QueryTimes(metrics, "main")) as pool:
        await pool.fetchval("SELECT 1")
        async with pool.acquire() as connection, connection.transaction():  # BEGIN and COMMIT are statements too
            await connection.execute("SELECT 1")
            await connection.fetch("SELECT $1::int", 1)
            await connection.executemany("SELECT $1::int", [(1,), (2,)])
            with pytest.raises(asyncpg.PostgresError):
                async with connection.transaction():
                    await connection.execute("SELECT 1 / 0")
            held = await scraped(metrics)
        found = await scraped(metrics)
    assert held("chasqui_db_pool_connections", "main", "in_use") == 1
    assert found("chasqui_db_pool_connections", "main", "in_use") == 0
    assert found("chasqui_db_pool_connections", "main", "max") == 3
    assert found("chasqui_db_query_duration_seconds_count", "main") >= 7
    assert found("chasqui_db_slow_queries_total", "main") == 0


async def test_a_slow_statement_is_kept_and_logged_without_its_values(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLOW_SECONDS", 1.0)
    metrics = Metrics("gateway")
    times = QueryTimes(metrics, "main")
    with capture_logs() as logged:
        async with open_pool(database.settings_for("gateway"), "gateway", times=times) as pool:
            await pool.fetch("SELECT pg_sleep(1.1),\n    $1::text", SECRET)
            found = await scraped(metrics)
    assert found("chasqui_db_slow_queries_total", "main") == 1
    (slow,) = times.slow
    assert slow.statement == "SELECT pg_sleep(1.1), $1::text"
    assert slow.seconds >= 1.1
    (said,) = (entry for entry in logged if entry["event"] == "db.slow_query")
    assert said["statement"] == slow.statement
    assert SECRET not in str(logged) + str(times.slow)
