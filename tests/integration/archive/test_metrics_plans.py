"""A scrape reads some rows by index, however many there are."""

from __future__ import annotations

from typing import Any

import asyncpg
import pytest

from services.archive.store import metrics
from shared.db.pool import Pool
from tests.support.database import Database

FILL = """
SET search_path = archive;
INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options)
SELECT 'imp_' || n, 'tnt_' || n % 50, n % 50,
    CASE n % 500 WHEN 0 THEN 'importing' WHEN 1 THEN 'ready' ELSE 'completed' END, 'a', '{}'
FROM generate_series(1, 20000) AS n;
INSERT INTO exports (id, tenant_id, format, scope, state)
SELECT 'exp_' || n, 'tnt', 'csv', '{}', CASE n % 500 WHEN 0 THEN 'queued' ELSE 'failed' END FROM generate_series(1, 20000) AS n;
INSERT INTO search_rows (stored_in, sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
SELECT n / 10, now(), n % 20, 1, false, 'ent_' || n, 'text', 'a', '' FROM generate_series(1, 40000) AS n;
UPDATE followers SET stored_in = CASE name WHEN 'lexicon' THEN 3990 ELSE 100000 END;
INSERT INTO stale_days (conversation_no, day, marked_at)
SELECT n, '2026-01-01', now() - n * interval '1 second' FROM generate_series(1, 20000) AS n;
INSERT INTO stale_months (conversation_no, month, marked_at)
SELECT n, '2026-01-01', now() - n * interval '1 second' FROM generate_series(1, 20000) AS n;
ANALYZE imports, exports, search_rows, followers, stale_days, stale_months;
"""
CASES: list[tuple[str, tuple[Any, ...], str]] = [
    (metrics.OPEN_IMPORTS, (), "imports_at_work"),
    (metrics.OPEN_IMPORTS, (), "imports_waiting"),
    (metrics.OPEN_EXPORTS, (), "exports_open"),
    (metrics.FOLLOWED_UNTIL, (["lexicon", "statistics"],), "search_rows_by_transaction"),
    (metrics.STALE_SINCE, (), "stale_days_by_time"),
    (metrics.STALE_SINCE, (), "stale_months_by_time"),
]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_statement_has_an_index_to_go_by(database: Database, pool: Pool, mode: str) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    async with pool.acquire() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        for text, arguments, index in CASES:
            shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}", *arguments))
            assert index in shown, shown
            for table in ("imports", "exports", "search_rows", "stale_days", "stale_months"):
                assert f"Seq Scan on {table}" not in shown, shown
    assert await metrics.followed_until(pool, ["lexicon", "statistics"]) == {"lexicon": "ent_39900", "statistics": None}
