"""What the hot statements about runs read: the rows they are about, whatever was known of the tables when they were planned."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import asyncpg
import pytest

from services.scheduler.store import recipients, runs
from shared.db.pool import Connection, service_url
from tests.support.database import Database

PEOPLE: Final = 20_000
FEW: Final = 50
TWICE: Final = "array_fill(now(), ARRAY[2])"
STATEMENTS: Final = {
    "ready": ("(integer, integer)", runs.READY_RUNS),
    "weigh": ("(text[], text[], boolean[])", runs.WEIGH_RUNS),
    "count": ("(text[])", runs.COUNT_RUNS),
    "take": ("(text[], integer[], interval[])", recipients.TAKE_PENDING),
    "request": ("(text[], bigint[], text[], timestamptz[])", recipients.REQUEST_RECIPIENTS),
    "conclude": ("(text[], text[], text[], text[], text[])", recipients.CONCLUDE_RECIPIENTS),
    "lock": ("(text[])", recipients.LOCK_REQUESTED),
    "give_back": ("(text[], text[])", recipients.RETURN_RECIPIENTS),
    "report": ("(text[], text[], timestamptz[], timestamptz[], timestamptz[])", recipients.REPORT_RECIPIENTS),
    "page": ("(text, text, bigint, integer)", recipients.LIST_RECIPIENTS),
    "unwanted": ("(text[], text[])", runs.UNWANTED_HOLDS),
}


@pytest.fixture(params=["never analyzed", "true"])
async def connection(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Connection]:
    """Three runs with a ledger, and plans made when the planner knew nothing of them, or all."""
    connection = await asyncpg.connect(service_url(database.settings_for("scheduler"), "scheduler"))
    if request.param == "never analyzed":
        await prepare(connection)
    await connection.execute(
        f"""
        INSERT INTO runs (id, tenant_id, kind, owner_id, number_id, state, since, asking, terms, is_expanded, ask_at, tend_at,
                          created_at)
        SELECT 'run_' || n, 'tnt_' || n % 3, 'campaign', 'cmp', 'num', 'running', now(), '{{}}', '{{}}', true, now(),
               CASE WHEN n <= 3 THEN now() - interval '1 s' WHEN n < 100 THEN now() + interval '1 h' ELSE 'infinity' END, now()
        FROM generate_series(1, 2000) n;
        INSERT INTO recipients (run_id, position, phone, zone, variant, content, due_at, state, message_id)
        SELECT 'run_' || n % 3 + 1, n, '+1' || n, 'UTC', 0, '{{}}', now(), CASE WHEN n % 2 = 0 THEN 'pending' ELSE 'requested' END,
               CASE WHEN n % 2 = 1 THEN 'msg_' || n END
        FROM generate_series(1, {PEOPLE}) n;
        INSERT INTO run_counts (run_id, what, amount) SELECT 'run_' || n, 'pending', 1 FROM generate_series(1, 2000) n;
        """  # noqa: S608  # constants of this file
    )
    if request.param == "true":
        admin = await asyncpg.connect(database.admin_url)
        for table in ("runs", "recipients", "run_counts", "run_changes"):
            await admin.execute(f"VACUUM ANALYZE scheduler.{table}")
        await admin.close()
        await prepare(connection)
    yield connection
    await connection.close()


async def prepare(connection: Connection) -> None:
    for name, (types, text) in STATEMENTS.items():
        await connection.execute(f"PREPARE {name} {types} AS {text}")
        empty = {"ready": "0, 0", "page": "'', NULL, 0, 0"}.get(name, ", ".join(["'{}'"] * types.count("[]")))
        await connection.execute(f"EXECUTE {name} ({empty})")


async def read_by(connection: Connection, statement: str) -> tuple[int, str]:
    """Rows that it reads of the tables of runs, and how; undone."""
    transaction = connection.transaction()
    await transaction.start()
    found = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {statement}")
    await transaction.rollback()
    scans = [node for node in nodes(json.loads(found)[0]["Plan"]) if "Relation Name" in node and "Scan" in node["Node Type"]]
    read = sum((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"] for node in scans)
    return round(read), found


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)


@pytest.mark.parametrize(
    ("statement", "rows"),
    [
        ("ready (64, 32)", 6),
        ("count (ARRAY['run_1', 'run_2'])", 2),
        ("take (ARRAY['run_1', 'run_2'], ARRAY[100, 50], ARRAY['10 s', '0 s']::interval[])", 150),
        (
            "request (array_fill('run_1'::text, ARRAY[2]), ARRAY[6, 12], ARRAY['msg_a', 'msg_b'], array_fill(now(), ARRAY[2]))",
            4,
        ),
        ("conclude (ARRAY['run_2', 'run_1'], ARRAY['msg_1', 'msg_3'], ARRAY['sent', 'sent'], ARRAY['', ''], ARRAY['', ''])", 4),
        ("give_back (ARRAY['run_2', 'run_1'], ARRAY['msg_1', 'msg_3'])", 4),
        ("lock (ARRAY['msg_1', 'msg_3'])", 2),
        (f"report (ARRAY['run_2', 'run_1'], ARRAY['msg_1', 'msg_3'], {TWICE}, {TWICE}, {TWICE})", 4),
        ("page ('run_1', NULL, 100, 200)", 200),
        ("unwanted (ARRAY['msg_1', 'msg_3'], ARRAY['run_2', 'run_1'])", 4),
    ],
)
async def test_what_is_about_a_few_rows_reads_a_few(statement: str, rows: int, connection: Connection) -> None:
    read, plan = await read_by(connection, statement)
    assert read <= 2 * rows + FEW, plan
