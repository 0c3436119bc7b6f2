"""What a claim and a settlement read: the holds they are about, however many there are and whatever the planner believes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncpg
import pytest

from services.scheduler.domain.window import RESERVED_PERCENT
from services.scheduler.store.holds import CLAIM_DUE, SETTLE_HOLDS
from shared.db.pool import Connection, service_url
from tests.support.database import Database

CLAIM: Final = f"EXECUTE claim (32, 256, 90, ARRAY{list(RESERVED_PERCENT)})"
NUMBERS: Final = 2_000
FEW: Final = 50
"""Rows that a claim may read beside those that it releases."""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(service_url(database.settings_for("scheduler"), "scheduler"))
    yield connection
    await connection.close()


async def vacuum(database: Database) -> None:
    """As autovacuum does; the service's own role may not."""
    admin = await asyncpg.connect(database.admin_url)
    for table in ("holds", "numbers", "gates"):
        await admin.execute(f"VACUUM ANALYZE scheduler.{table}")
    await admin.close()


async def prepare(connection: Connection) -> None:
    """As the service does at its start: these plans serve until the tables are analyzed."""
    await connection.execute(f"PREPARE claim (integer, integer, double precision, integer[]) AS {CLAIM_DUE}")
    await connection.execute(f"PREPARE settle (text[], integer[], text[], timestamptz[], boolean[]) AS {SETTLE_HOLDS}")
    await connection.execute(CLAIM)
    await connection.execute("EXECUTE settle ('{}', '{}', '{}', '{}', '{}')")


async def fill(connection: Connection, *, numbers: int, holds: int, tier: str = "3", due: str = "now()") -> None:
    await connection.execute(
        f"""
        INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size)
        SELECT 'num_' || n, 'tnt_' || n % 7, 1, 100, 100 FROM generate_series(1, {numbers}) n;
        INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, recipient, content)
        SELECT 'msg_' || n, 't', 'num_' || n % {numbers} + 1, {tier}, {due}, '+1', '{{}}' FROM generate_series(1, {holds}) n;
        """  # noqa: S608  # constants of this file
    )


async def read_by(connection: Connection, statement: str) -> tuple[int, int, str]:
    """Carry it out: rows returned, rows of holds read, and how."""
    found = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
    plan = json.loads(found)[0]["Plan"]
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "holds" and "Scan" in node["Node Type"]]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    return plan["Actual Rows"], round(read), found


async def claim(connection: Connection) -> tuple[int, int, str]:
    """`read_by` of a claim that is undone."""
    transaction = connection.transaction()
    await transaction.start()
    found = await read_by(connection, CLAIM)
    await transaction.rollback()
    return found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.fixture(params=["never analyzed", "vacuumed while empty", "vacuumed while small", "true"])
async def backlog(request: pytest.FixtureRequest, connection: Connection, database: Database) -> str:
    """20,000 holds of three numbers, and plans made when the planner knew less of them."""
    if request.param.startswith("vacuumed"):
        await fill(connection, numbers=1, holds=5)
        await connection.execute("DELETE FROM numbers")
        if request.param == "vacuumed while empty":
            await connection.execute("DELETE FROM holds")
        await vacuum(database)
        await prepare(connection)
        await connection.execute("DELETE FROM holds")
    elif request.param == "never analyzed":
        await prepare(connection)
    await fill(connection, numbers=3, holds=20_000)
    if request.param == "true":
        await vacuum(database)
        await prepare(connection)
        await connection.execute(
            "UPDATE numbers SET in_flight = 0; UPDATE holds SET state = 'waiting', attempt = 0 WHERE attempt > 0"
        )
    return str(request.param)


@pytest.mark.usefixtures("backlog")
async def test_a_backlog_is_read_only_as_far_as_it_is_released(connection: Connection) -> None:
    released, read, plan = await claim(connection)
    assert released == 3 * 70
    assert read <= 2 * released + FEW, plan
    await connection.execute("UPDATE numbers SET in_flight = 70")
    assert (await claim(connection))[:2] == (0, 0), "a window that is full for low costs no look at low"
    await connection.execute("UPDATE holds SET tier = 0 WHERE message_id = 'msg_7'")
    released, read, plan = await claim(connection)
    assert released == 1
    assert read <= FEW, plan


@pytest.mark.usefixtures("backlog")
@pytest.mark.parametrize(("outcome", "put_back"), [("done", 0), ("deferred", 210), ("unsettled", 0)])
async def test_outcomes_read_the_holds_they_are_about(outcome: str, put_back: int, connection: Connection) -> None:
    claimed = await connection.fetch(CLAIM)
    ids = sorted(row["message_id"] for row in claimed)
    arrays = [ids, [1] * len(ids), [outcome] * len(ids), ["now"] * len(ids), [True] * len(ids)]
    told = ", ".join("'{" + ",".join(str(value).lower() for value in array) + "}'" for array in arrays)
    returned, read, plan = await read_by(connection, f"EXECUTE settle ({told})")
    assert (len(ids), returned) == (210, put_back)
    assert read <= 4 * len(ids), plan
    assert await connection.fetchval("SELECT sum(in_flight) FROM numbers") == 0


@pytest.mark.parametrize(
    "closing",
    [
        "UPDATE numbers SET paused = 'code' WHERE number_id <> 'num_7'",
        "INSERT INTO gates SELECT number_id, 0, 3, now() + interval '1 hour' FROM numbers WHERE number_id <> 'num_7'",
        "INSERT INTO gates SELECT number_id, 2, 3, now() + interval '1 hour' FROM numbers WHERE number_id <> 'num_7'",
        "INSERT INTO gates SELECT 'tnt_' || n, 0, 3, now() + interval '1 hour' FROM generate_series(1, 6) n",
        "UPDATE numbers SET in_flight = window_size WHERE number_id <> 'num_7'",
    ],
    ids=["paused", "gate of the number", "gate for its tier", "gate of the tenant", "window full"],
)
@pytest.mark.parametrize("analyzed", [False, True])
async def test_the_holds_of_closed_numbers_are_not_read(
    closing: str, analyzed: bool, connection: Connection, database: Database
) -> None:
    await prepare(connection)
    await fill(connection, numbers=NUMBERS, holds=5 * NUMBERS)
    await connection.execute("UPDATE numbers SET tenant_id = 'tnt_1' WHERE tenant_id = 'tnt_0' AND number_id <> 'num_7'")
    await connection.execute(closing)
    if analyzed:
        await vacuum(database)
    released, read, plan = await claim(connection)
    assert released == 5
    assert read <= FEW, plan


async def test_while_everything_is_closed_no_hold_is_read(connection: Connection) -> None:
    await prepare(connection)
    await fill(connection, numbers=100, holds=10_000, tier="n % 4")
    await connection.execute("INSERT INTO gates (scope, tier, until) VALUES ('*', 0, now() + interval '1 hour')")
    assert (await claim(connection))[:2] == (0, 0)


async def test_one_plan_serves_every_claim(connection: Connection) -> None:
    """Planning takes longer than carrying out a claim that finds little, and there are twenty a second at least."""
    await prepare(connection)
    for _ in range(10):
        await connection.execute(CLAIM)
    planned = await connection.fetchrow("SELECT generic_plans, custom_plans FROM pg_prepared_statements WHERE name = 'claim'")
    assert planned is not None
    assert tuple(planned) == (11, 0)
