"""Entries go with all that is kept of them, and off the totals; what stays is as it was."""

from __future__ import annotations

import asyncpg
import pytest

from services.archive.domain.reading import NEWEST
from services.archive.record import Recorder
from services.archive.store import read, removal
from services.archive.store.removal import MAX_KEYS, remove, retotal
from shared.db.pool import Pool
from tests.support.archive_events import NOON, TENANT, at, edited, message_id, received, released, revoked
from tests.support.archive_rows import FILL
from tests.support.database import Database

TABLES = ("entries", "search_rows", "entry_versions", "incoming", "outgoing", "amendments")


async def counts(pool: Pool) -> dict[str, int]:
    return {table: await pool.fetchval(f"SELECT count(*) FROM {table}") for table in TABLES}  # noqa: S608  # of TABLES


async def remove_before(pool: Pool, seconds: float) -> list[str]:
    """Remove what was sent before that long after noon."""
    rows = await pool.fetch("SELECT id, sent_at FROM entries WHERE sent_at < $1", at(seconds))
    async with pool.acquire() as connection, connection.transaction():
        return await remove(connection, [(row["id"], row["sent_at"]) for row in rows])


async def test_entries_go_with_all_that_is_kept_of_them(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "one"), released(message_id(), "two", seconds=1), received("w3", "three", seconds=9)])
    await recorder.record([edited("w1", "one, mended")])
    await pool.execute("UPDATE incoming SET entry_id = 'ent_x' WHERE wamid = 'w1'")
    await recorder.record([edited("w1", "waits")])
    await pool.execute("UPDATE incoming SET entry_id = (SELECT id FROM entries WHERE wamid = 'w1') WHERE wamid = 'w1'")
    assert await counts(pool) == {
        "entries": 3,
        "search_rows": 3,
        "entry_versions": 1,
        "incoming": 2,
        "outgoing": 1,
        "amendments": 1,
    }
    (conversation_id,) = await remove_before(pool, 5)
    assert await counts(pool) == {
        "entries": 1,
        "search_rows": 1,
        "entry_versions": 0,
        "incoming": 1,
        "outgoing": 0,
        "amendments": 0,
    }
    conversation = await read.conversation(pool, TENANT, conversation_id)
    assert conversation is not None
    assert (conversation.entry_count, conversation.unread_count, conversation.last_preview) == (1, 1, "three")


async def test_the_last_entry_is_the_newest_of_those_that_stay(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "stays  here\n", seconds=0), received("w2", seconds=5), received("w3", seconds=6)])
    await recorder.record([revoked("w3")])
    rows = await pool.fetch("SELECT id, sent_at FROM entries WHERE sent_at > $1", NOON)
    async with pool.acquire() as connection, connection.transaction():
        (conversation_id,) = await remove(connection, [(row["id"], row["sent_at"]) for row in rows])
    conversation = await read.conversation(pool, TENANT, conversation_id)
    assert conversation is not None
    assert (conversation.last_entry_at, conversation.last_type, conversation.last_preview) == (NOON, "text", "stays here")
    assert (conversation.entry_count, conversation.unread_count) == (1, 1)


async def test_a_conversation_without_entries_is_not_shown_and_goes_on_with_the_next(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1"), received("w2", seconds=1)])
    assert len(await remove_before(pool, 9)) == 1
    assert await read.conversations(pool, TENANT, NEWEST, 10) == []
    await recorder.record([received("w1", "again")])
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)
    assert (conversation.entry_count, conversation.unread_count, conversation.last_preview) == (1, 1, "again")


async def test_the_days_of_what_went_are_counted_anew(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", seconds=-86_400), received("w2"), received("w3", seconds=86_400)])
    await remove_before(pool, 9)
    assert [str(row["day"]) for row in await pool.fetch("SELECT day FROM stale_days ORDER BY day")] == [
        "2026-11-19",
        "2026-11-20",
    ]


async def test_what_is_not_there_is_passed_over(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1")])
    async with pool.acquire() as connection, connection.transaction():
        assert await remove(connection, []) == []
        assert await remove(connection, [("ent_x", NOON), ("ent_y", at(40 * 86_400))]) == []
        with pytest.raises(ValueError, match="at a time"):
            await remove(connection, [("ent_x", NOON)] * (MAX_KEYS + 1))
    assert (await counts(pool))["entries"] == 1


async def test_totals_are_made_anew_from_the_entries(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "one"), received("w2", "two", seconds=1)])
    (before,) = await read.conversations(pool, TENANT, NEWEST, 10)
    await pool.execute(
        "UPDATE conversations SET entry_count = 77, last_entry_id = 'ent_x', last_preview = '?', unread_count = 9"
    )
    async with pool.acquire() as connection, connection.transaction():
        await retotal(connection, [before.id])
    assert await read.conversations(pool, TENANT, NEWEST, 10) == [before]


async def test_entries_are_found_by_their_keys_in_their_months(database: Database, pool: Pool, recorder: Recorder) -> None:
    await recorder.ensure_months({NOON.replace(day=1, hour=0, month=month) for month in (9, 10, 11)})
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    keys = await admin.fetch("SELECT id, sent_at FROM archive.entries WHERE sent_at > '2026-10-15' ORDER BY sent_at LIMIT 500")
    await admin.close()
    ids, moments = [row["id"] for row in keys], [row["sent_at"] for row in keys]
    async with pool.acquire() as connection:
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            for text in (removal.REMOVE_AMENDMENTS, removal.LOCK_ENTRIES, removal.REMOVE_ENTRIES):
                rows = await connection.fetch(f"EXPLAIN {text}", ids, moments, min(moments), max(moments))
                shown = "\n".join(row[0] for row in rows)
                for table in ("entries_2026_09", "entries_2026_10", "search_rows", "entry_versions", "incoming", "outgoing"):
                    assert f"Seq Scan on {table}" not in shown, shown
            rows = await connection.fetch(f"EXPLAIN {removal.REFRESH_TOTALS}", ["cnv_1", "cnv_2"])
            shown = "\n".join(row[0] for row in rows)
            assert "Seq Scan on search_rows" not in shown, shown
