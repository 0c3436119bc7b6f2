"""Every reading goes by an index and ends where the page does, however long the conversation, and however the server plans it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

import asyncpg
import pytest

from services.archive.store import read
from shared.db.pool import service_url
from tests.support.database import Database

NOW: Final = datetime(2026, 6, 15, tzinfo=UTC)
LONG: Final = "cnv_" + "1" * 26
TENANT: Final = "tnt_1"

_FILL: Final = """
SET search_path = archive;
SELECT ensure_month('2025-01-01'::timestamptz + make_interval(months => n)) FROM generate_series(0, 23) AS n;
INSERT INTO tenants (tenant_id) VALUES ('tnt_1');
INSERT INTO conversations (
    id, tenant_id, number_id, contact_phone, entry_count, last_entry_at, last_entry_id, last_direction, last_type, last_preview
)
SELECT 'cnv_' || lpad(n::text, 26, CASE n WHEN 1 THEN '1' ELSE '0' END), 'tnt_1', 'num_1', '+' || n, 1,
       '2026-01-01'::timestamptz + make_interval(mins => n), 'ent_' || n, 'incoming', 'text', ''
FROM generate_series(1, 5000) AS n;
INSERT INTO entries (id, sent_at, tenant_id, conversation_id, direction, message_id, type, content)
SELECT 'ent_' || lpad(n::text, 26, '0'), '2025-01-01'::timestamptz + make_interval(mins => 24 * n), 'tnt_1', conversations.id,
       'outgoing', 'msg_' || n, CASE n % 50 WHEN 0 THEN 'image' ELSE 'text' END, '{}'
FROM generate_series(1, 40000) AS n
JOIN conversations ON conversations.contact_phone = CASE WHEN n % 2 = 0 THEN '+1' ELSE '+' || (n % 500 + 2) END;
INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
SELECT sent_at, conversation_no, 1, true, entries.id, type, '', ''
FROM entries JOIN conversations ON conversations.id = entries.conversation_id;
INSERT INTO outgoing (tenant_id, message_id, height, status, status_at)
SELECT 'tnt_1', 'msg_' || n, 1, 'sent', now() FROM generate_series(1, 20000) AS n;
INSERT INTO entry_versions (entry_id, sent_at, since, content)
SELECT id, sent_at, sent_at, '{}' FROM entries WHERE sent_at < '2025-03-01';
VACUUM ANALYZE entries;
VACUUM ANALYZE search_rows;
VACUUM ANALYZE conversations;
VACUUM ANALYZE outgoing;
ANALYZE entry_versions;
"""


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    admin = await asyncpg.connect(database.admin_url)
    for statement in _FILL.strip().split(";\n"):
        await admin.execute(statement)
    await admin.close()
    connection = await asyncpg.connect(service_url(database.settings_for("archive"), "archive"))
    yield connection
    await connection.close()


async def _plans(connection: asyncpg.Connection[asyncpg.Record], text: str, arguments: tuple[Any, ...]) -> list[str]:
    """Empty tables are not read whole because that is cheap."""
    await connection.execute("SET enable_seqscan = off")
    plans = []
    for mode in ("force_custom_plan", "force_generic_plan"):
        await connection.execute(f"SET plan_cache_mode = {mode}")
        rows = await connection.fetch(f"EXPLAIN (ANALYZE, TIMING OFF) {text}", *arguments)
        plans.append("\n".join(row[0] for row in rows))
    return plans


async def test_readings_go_by_index(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    number = await connection.fetchval("SELECT conversation_no FROM conversations WHERE id = $1", LONG)
    past, future = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    for text, arguments, index, rows in (
        (read.OLDER_ENTRIES, (LONG, NOW, "~", 50), "conversation_id_sent_at_id_idx", 60),
        (read.OLDER_ENTRIES, (LONG, future, "~", 50), "conversation_id_sent_at_id_idx", 60),
        (read.NEWER_ENTRIES, (LONG, NOW, "", 50), "conversation_id_sent_at_id_idx", 60),
        (read.NEWER_ENTRIES, (LONG, past, "", 50), "conversation_id_sent_at_id_idx", 60),
        (read.MEDIA_PAGE, (number, None, past, future, "~", 50), "search_rows_media", 60),
        (read.MEDIA_PAGE, (number, ["image"], past, NOW, "", 50), "search_rows_media", 60),
        (read.MEDIA_MONTHS, (number, "UTC"), "search_rows_media", 20_000),
        (read.CALENDAR, (number, "UTC", past, future), "search_rows_by_conversation", 20_000),
        (read.CONVERSATION, (TENANT, LONG), "conversations_pkey", 1),
        (read.CONVERSATIONS_PAGE, (TENANT, future, "~", 50, 20_000, None, None, None, None), "conversations_newest", 60),
        (read.CONVERSATIONS_PAGE, (TENANT, future, "~", 50, 20_000, None, None, "group", "x"), "conversations_newest", 6_000),
        (read.CONVERSATIONS_LOOKED, (TENANT, future, "~", 2_000), "conversations_newest", 2_100),
        (read.PROGRESS, (TENANT, [f"msg_{n}" for n in range(50)]), "outgoing_pkey", 60),
        (read.ENTRY, (TENANT, "ent_" + "1" * 26), "_pkey", 1),
        (read.VERSIONS, ("ent_" + "1".zfill(26), future, "~", 50), "entry_versions_key", 60),
    ):
        for plan in await _plans(connection, text, arguments):
            assert index in plan, (text, plan)
            assert "Seq Scan on" not in plan, plan
            assert _most_rows(plan) <= rows, plan


async def test_the_speakers_of_a_short_conversation_are_not_looked_for_in_long_ones(
    connection: asyncpg.Connection[asyncpg.Record],
) -> None:
    number = await connection.fetchval("SELECT conversation_no FROM conversations WHERE contact_phone = '+7'")
    for plan in await _plans(connection, read.SPEAKERS, (number,)):
        assert "search_rows_by_" in plan, plan
        assert _most_rows(plan) <= 200, plan


def _most_rows(plan: str) -> float:
    """The most rows that any step gave in all its loops."""
    most = 0.0
    for line in plan.splitlines():
        _, found, actual = line.partition("(actual rows=")
        if found:
            rows, _, loops = actual.rstrip(")").partition(" loops=")
            most = max(most, float(rows) * int(loops))
    return most
