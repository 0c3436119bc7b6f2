"""What a claim and a settlement read: the holds they are about, however many there are and whatever the planner believes."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import asyncpg
import pytest

from services.scheduler.domain.window import RESERVED_PERCENT
from services.scheduler.store.holds import (
    BLOCK_HELD,
    CANCEL_HOLDS,
    CLAIM_DUE,
    DOUBT_WINDOWS,
    END_WAITING,
    EXPIRE_HOLDS,
    FORGET_UNSETTLED,
    LOCK_QUIET,
    SETTLE_HOLDS,
)
from services.scheduler.store.projections import PRUNE_LIFTED, PRUNE_WINDOWS, SUPPRESS_LATER, UNBLOCK_HOLDS
from shared.db.pool import Connection, service_url
from tests.support.database import Database

CLAIM: Final = f"EXECUTE claim (32, 256, 90, ARRAY{list(RESERVED_PERCENT)})"
NUMBERS: Final = 2_000
FEW: Final = 50
"""Rows that a claim may read beside those that it releases."""
PROJECTIONS: Final = ("suppressions", "kept_suppressions", "windows", "templates")


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(service_url(database.settings_for("scheduler"), "scheduler"))
    yield connection
    await connection.close()


async def vacuum(database: Database) -> None:
    """As autovacuum does; the service's own role may not."""
    admin = await asyncpg.connect(database.admin_url)
    for table in ("holds", "numbers", "gates", *PROJECTIONS):
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


async def read_by(connection: Connection, statement: str, tables: Sequence[str] = ("holds",)) -> tuple[int, int, str]:
    """Carry it out: rows returned, rows of the tables read, and how."""
    found = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
    plan = json.loads(found)[0]["Plan"]
    scans = [node for node in nodes(plan) if node.get("Relation Name") in tables and "Scan" in node["Node Type"]]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    return plan["Actual Rows"], round(read), found


async def undone(connection: Connection, statement: str, tables: Sequence[str] = ("holds",)) -> tuple[int, int, str]:
    """`read_by` of a statement that is undone."""
    transaction = connection.transaction()
    await transaction.start()
    found = await read_by(connection, statement, tables)
    await transaction.rollback()
    return found


async def claim(connection: Connection) -> tuple[int, int, str]:
    return await undone(connection, CLAIM)


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
async def test_what_is_released_is_found_by_its_key(connection: Connection) -> None:
    """The index of what waits has the ids too, in its last column: to look them up there is to read all of it."""
    _, _, plan = await claim(connection)
    lookups = [node for node in nodes(json.loads(plan)[0]["Plan"]) if "message_id = ANY" in node.get("Index Cond", "")]
    assert [node["Index Name"] for node in lookups] == ["holds_pkey"], plan


@pytest.mark.parametrize(("name", "text", "more"), [
    ("take_out", END_WAITING, ""),
    ("block", BLOCK_HELD, ""),
    ("quiet", LOCK_QUIET, ""),
    ("doubt", DOUBT_WINDOWS, ", 'code', '5 s'"),
])  # fmt: skip
async def test_what_waits_is_found_by_its_key_in_a_table_nobody_has_seen(
    name: str, text: str, more: str, connection: Connection
) -> None:
    await connection.execute(f"PREPARE {name} AS {text}")
    plan = json.loads(await connection.fetchval(f"EXPLAIN (FORMAT JSON) EXECUTE {name} ('{{msg_1}}'{more})"))[0]["Plan"]
    indexes = {node["Index Name"] for node in nodes(plan) if node.get("Index Name", "").startswith("holds")}
    assert indexes == {"holds_pkey"}, plan


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


async def know_much(connection: Connection) -> None:
    """Everybody wrote today to a number that enforces windows, nobody who waits has opted out, and all templates can be sent."""
    await connection.execute(
        """
        UPDATE numbers SET enforces_windows = true, window_known_from = '-infinity', account_id = 'waba';
        INSERT INTO windows SELECT number_id, '+' || n, now() FROM numbers, generate_series(1, 10000) n;
        INSERT INTO suppressions SELECT 't' || n % 7, '+' || n, 'all', now() FROM generate_series(1, 30000) n;
        INSERT INTO kept_suppressions SELECT 'tnt_' || 2 + n % 7, sha256(n::text::bytea), 'all', now() FROM generate_series(1, 30000) n;
        INSERT INTO templates SELECT 'waba', 't' || n || ':en', 'utility', NULL, now() FROM generate_series(1, 2000) n;
        UPDATE holds SET free_form = substr(message_id, 5)::integer % 2 = 0, template = nullif('t7:en', 't' || substr(message_id, 5)::integer % 2 * 7 || ':en')
        """  # noqa: E501  # SQL as it is read
    )


@pytest.mark.usefixtures("backlog")
@pytest.mark.parametrize("analyzed", [False, True])
async def test_projections_are_asked_by_their_keys_however_large_they_are(
    analyzed: bool, connection: Connection, database: Database
) -> None:
    released, read, plan = await undone(connection, CLAIM, PROJECTIONS)
    assert (released, read) == (3 * 70, 0), plan
    await know_much(connection)
    if analyzed:
        await vacuum(database)
    released, read, plan = await undone(connection, CLAIM, ("holds", *PROJECTIONS))
    assert released == 3 * 70
    assert read <= 5 * released + FEW, plan


@pytest.mark.parametrize("analyzed", [False, True])
async def test_what_an_obstacle_stopped_is_not_read_again(analyzed: bool, connection: Connection, database: Database) -> None:
    await prepare(connection)
    await fill(connection, numbers=3, holds=10_000, due="now() - interval '1 hour'")
    await connection.execute(
        "UPDATE holds SET state = 'blocked', code = 'template.paused', template = 't' WHERE number_id = 'num_1'"
    )
    await connection.execute("UPDATE holds SET due_at = now() + interval '1 hour' WHERE number_id = 'num_2'")
    await connection.execute("DELETE FROM holds WHERE number_id = 'num_3' AND message_id <> 'msg_2'")
    if analyzed:
        await vacuum(database)
    released, read, plan = await claim(connection)
    assert released == 1
    assert read <= FEW, plan


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize(
    ("name", "types", "text", "arguments", "rows"),
    [
        ("suppress", "text[], text[]", SUPPRESS_LATER, "('{t,t}', '{+1000,+2000}')", 2),
        ("unblock", "text[], text[], integer", UNBLOCK_HOLDS, "('{waba}', '{t5:en}', 10)", 10),
        ("expire", "integer", EXPIRE_HOLDS, "(100)", 100),
        ("cancel", "text[], text[]", CANCEL_HOLDS, "('{msg_5,msg_7}', '{t,t}')", 2),
        ("take_out", "text[]", END_WAITING, "('{msg_5,msg_8}')", 2),
        ("forget", "integer, integer", FORGET_UNSETTLED, "(8, 10)", 10),
        ("prune_windows", "integer", PRUNE_WINDOWS, "(10)", 10),
        ("prune_lifted", "integer, integer", PRUNE_LIFTED, "(3, 10)", 10),
    ],
)
async def test_what_is_taken_out_or_put_back_is_found_by_an_index(
    name: str, types: str, text: str, arguments: str, rows: int, analyzed: bool, connection: Connection, database: Database
) -> None:
    await connection.execute(f"PREPARE {name} ({types}) AS {text}")
    await fill(connection, numbers=3, holds=20_000, due="now() + interval '1 hour'")
    await know_much(connection)
    await connection.execute(
        """
        UPDATE holds SET is_later = true, recipient = '+' || substr(message_id, 5), expires_at = now() - interval '1 s';
        UPDATE holds SET state = 'blocked', code = 'c', template = 't5:en' WHERE substr(message_id, 5)::integer % 10 = 0;
        UPDATE holds SET state = 'unsettled', repeat_at = now() - interval '9 days' WHERE substr(message_id, 5)::integer % 10 = 1;
        INSERT INTO suppressions SELECT 't', '+' || n * 1000, 'all', now() FROM generate_series(1, 3) n;
        INSERT INTO suppressions SELECT 'u', '+' || n, NULL, now(), now() - interval '4 days' FROM generate_series(1, 3000) n;
        UPDATE windows SET last_inbound_at = now() - interval '26 hours' WHERE length(phone) = 4
        """
    )
    if analyzed:
        await vacuum(database)
    _, read, plan = await undone(connection, f"EXECUTE {name} {arguments}", ("holds", *PROJECTIONS))
    assert f'"Actual Rows": {rows}' in plan or f'"Actual Rows": {float(rows):.2f}' in plan, plan
    assert read <= 4 * rows + FEW, plan
