"""How much a query reads, as EXPLAIN counts it."""

from __future__ import annotations

from typing import Any

import asyncpg
import orjson

from shared.db.pool import Connection
from tests.support.database import Database


async def keep_new(database: Database, *tables: str) -> None:
    """Nothing analyzes these tables of the gateway's: the planner believes that a tenant has a row or two."""
    admin = await asyncpg.connect(database.admin_url)
    for table in tables:
        await admin.execute(f"ALTER TABLE gateway.{table} SET (autovacuum_enabled = false)")
    await admin.close()


async def rows_read(connection: Connection, query: str, *arguments: object) -> float:
    """By all steps of the plan together, those thrown away included. Runs the query."""
    rows = await connection.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", *arguments)
    return _read(orjson.loads(rows[0][0])[0]["Plan"])


def _read(plan: dict[str, Any]) -> float:
    own = plan["Actual Rows"] + sum(value for key, value in plan.items() if key.startswith("Rows Removed"))
    return float(own * plan["Actual Loops"] + sum(_read(part) for part in plan.get("Plans", ())))
