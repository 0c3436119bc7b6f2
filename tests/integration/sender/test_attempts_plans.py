"""How outcomes find their attempts while the table is new: by index, for the plan is kept when the table has grown."""

from __future__ import annotations

import asyncpg
import pytest

from services.sender.store import attempts
from shared.db.pool import service_url
from tests.support.database import Database


@pytest.mark.parametrize("mode", ["force_generic_plan", "auto"])
async def test_the_outcomes_of_a_new_platform_are_recorded_by_index(database: Database, mode: str) -> None:
    connection = await asyncpg.connect(service_url(database.settings_for("sender"), "sender"))
    try:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        statement = await connection.prepare(f"EXPLAIN {attempts.RECORD_OUTCOMES}")
        rows = [await statement.fetch("[]", 3) for _ in range(10)][-1]  # from the sixth on it may be planned for any arguments
    finally:
        await connection.close()
    shown = "\n".join(row[0] for row in rows)
    assert "attempts_pkey" in shown, shown
    assert "Seq Scan on attempts" not in shown, shown
