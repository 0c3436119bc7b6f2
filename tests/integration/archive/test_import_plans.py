"""The statements of an import go by their indexes, however large the archive is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from services.archive.store import blocks
from services.archive.store import imports as store
from shared.db.pool import Pool
from tests.support.database import Database

FILL = """
SET search_path = archive;
INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options)
SELECT 'imp_' || n, 'tnt_' || n % 50, n % 50, 'completed', 'a', '{}' FROM generate_series(1, 20000) AS n;
INSERT INTO import_objects (object_key, import_no, start_offset, size_bytes, remove_at)
SELECT 'key ' || n, n / 20, n % 20, 1, CASE WHEN n % 1000 = 0 THEN now() END FROM generate_series(1, 40000) AS n;
INSERT INTO import_keys (conversation_no, fingerprint, import_no, entry_id, sent_at)
SELECT n % 20, sha256(n::text::bytea), n % 200, 'ent_' || n, now() FROM generate_series(1, 40000) AS n;
INSERT INTO import_claims (conversation_no, fingerprint, import_no)
SELECT conversation_no, fingerprint, import_no + 1 FROM import_keys;
INSERT INTO import_lines (import_no, place, line, reason, text)
SELECT n % 20, n / 20, n, 'preamble', 'a' FROM generate_series(1, 40000) AS n;
ANALYZE imports, import_objects, import_keys, import_claims, import_lines;
"""
PRINTS = [bytes([number]) * 32 for number in range(200)]
CASES: list[tuple[str, tuple[Any, ...]]] = [
    (store.PAGE, ("tnt_1", store.LAST_ID, 50)),
    (store.CLAIM, ("lse_1", 30.0)),
    (store.PARTS, (7,)),
    (store.RELEASE_FILE, (7,)),
    (store.DUE_OBJECTS, (100,)),
    (store.LINES_PAGE, (7, 100, 50)),
    (store.ABANDONED, (7, 100)),
    (blocks.KNOWN_KEYS, (3, PRINTS)),
    (blocks.KEYS_TO_UNDO, (3, PRINTS[9], 7, 500)),
    (blocks.DROP_CLAIMS, (7, 500)),
]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_no_statement_walks_through_a_table(database: Database, pool: Pool, mode: str) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    async with pool.acquire() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        for text, arguments in CASES:
            shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}", *arguments))
            assert "Seq Scan on import" not in shown, shown


async def test_the_newest_entry_is_found_by_its_conversation(database: Database, pool: Pool) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(
        "INSERT INTO archive.search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)"
        " SELECT now() - n * interval '1 minute', n % 20, 1, false, 'ent_' || n, 'text', 'a', ''"
        " FROM generate_series(1, 20000) AS n"
    )
    await admin.execute("ANALYZE archive.search_rows")
    await admin.close()
    first, last = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    async with pool.acquire() as connection:
        rows = await connection.fetch(f"EXPLAIN {blocks.ADD_TO_CONVERSATION}", "cnv_1", 3, 5, first, last)
    shown = "\n".join(row[0] for row in rows)
    assert "Seq Scan on search_rows" not in shown, shown
