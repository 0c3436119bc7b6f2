"""How outcomes find their attempts while the table is new: by index, for the plan is kept when the table has grown."""

from __future__ import annotations

import asyncpg

from services.sender.store import attempts
from shared.db.pool import service_url
from tests.support.database import Database


async def test_the_outcomes_of_a_new_platform_are_recorded_by_index(database: Database) -> None:
    connection = await asyncpg.connect(service_url(database.settings_for("sender"), "sender"))
    try:
        await connection.execute(f"SET plan_cache_mode = force_generic_plan; PREPARE asked AS {attempts.RECORD_OUTCOMES}")
        rows = await connection.fetch("EXPLAIN EXECUTE asked ('[]', 256)")
    finally:
        await connection.close()
    shown = "\n".join(row[0] for row in rows)
    assert "attempts_pkey" in shown, shown
    assert "Seq Scan on attempts" not in shown, shown
