"""Exports of chats of which a part was recorded when it was sent: what overlaps is there once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg
import pytest

from services.archive.record import Recorder
from services.archive.store import blocks
from shared.db.pool import Pool
from tests.integration.archive.importing import START, Importing, android, chat, importing, zipped
from tests.support.archive_events import NOON, NUMBER, PHONE, message_id, received, released
from tests.support.database import Database

pytestmark = pytest.mark.timeout(120)

BEFORE: Final = (START.replace(tzinfo=UTC) - NOON).total_seconds()
OTHER: Final = "+1 555 123 4567"
PLACE: Final = {"number_id": NUMBER, "contact": PHONE}
PICTURE: Final = b"\xff\xd8\xff\xe0" + bytes(range(256))


@pytest.fixture
async def archive(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Importing]:
    async with importing(database, redis_url, tmp_path / "objects") as archive:
        yield archive


async def record_live(recorder: Recorder, said: list[tuple[str, str]], first: int = 0) -> None:
    """A message a minute, as an export of the same would have them."""
    for number, (author, body) in enumerate(said, start=first):
        seconds = BEFORE + 60 * number + 17.5
        event = (
            received(f"wamid.{number}", body, seconds=seconds)
            if author == OTHER
            else released(message_id(), body, seconds=seconds)
        )
        await recorder.record([event])


def talk(count: int) -> list[tuple[str, str]]:
    return [((OTHER, "Shop")[number % 2], body) for number, (_, body) in enumerate(chat(count))]


async def test_what_was_recorded_live_is_not_there_twice(archive: Importing, recorder: Recorder) -> None:
    await record_live(recorder, talk(30)[10:], first=10)
    done = await archive.imported(android(talk(40)), **PLACE)
    assert (done["entry_count"], done["known_count"]) == (20, 20), done
    assert await archive.bodies(done["conversation_id"]) == [body for _, body in talk(40)]
    conversation = await archive.get(f"/api/conversations/{done['conversation_id']}")
    assert conversation["entry_count"] == 40

    again = await archive.imported(android(talk(40)), **PLACE)
    assert (again["entry_count"], again["known_count"]) == (0, 40)


async def test_an_entry_stands_for_one_record_in_all_blocks_and_imports(archive: Importing, recorder: Recorder) -> None:
    await record_live(recorder, [(OTHER, "ok")])
    said = [(OTHER, "ok"), (OTHER, "ok"), ("Shop", "fine")]
    first = await archive.imported(android(said[:1], step=timedelta(seconds=1)), **PLACE)
    assert (first["entry_count"], first["known_count"]) == (0, 1)
    second = await archive.imported(android(said, step=timedelta(seconds=1)), **PLACE)
    assert (second["entry_count"], second["known_count"]) == (2, 1)


async def test_undo_leaves_what_was_recorded_live(archive: Importing, recorder: Recorder) -> None:
    await record_live(recorder, talk(30)[10:], first=10)
    done = await archive.imported(android(talk(40)), **PLACE)
    await archive.ask("POST", f"/api/imports/{done['id']}/undo")
    assert (await archive.until(done["id"], "undone"))["undone_count"] == 20
    assert await archive.bodies(done["conversation_id"]) == [body for _, body in talk(30)[10:]]
    again = await archive.imported(android(talk(40)), **PLACE)
    assert (again["entry_count"], again["known_count"]) == (20, 20)


async def test_a_live_entry_whose_file_was_lost_gets_it(archive: Importing, recorder: Recorder, database: Database) -> None:
    image = {"type": "image", "image": {"id": "1", "caption": "the harbour"}}
    await recorder.record([received("wamid.1", content=image, seconds=BEFORE)])
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute("""UPDATE archive.entries SET media = '{"lost": "expired"}'""")
    await admin.close()
    text = android([(OTHER, "\u200eIMG-20240521-WA0001.jpg (file attached)\nthe harbour"), ("Shop", "how nice")])
    done = await archive.imported(zipped({"_chat.txt": text, "IMG-20240521-WA0001.jpg": PICTURE}), **PLACE)
    assert (done["entry_count"], done["known_count"], done["file_count"]) == (1, 1, 1)
    first, _ = await archive.entries(done["conversation_id"])
    assert first["media"]["size_bytes"] == len(PICTURE)


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_live_entries_are_found_by_their_conversation(database: Database, pool: Pool, mode: str) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(
        "INSERT INTO archive.search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)"
        " SELECT now() - n * interval '1 minute', n % 20, 1, false, 'ent_' || n, 'text', 'a', ''"
        " FROM generate_series(1, 20000) AS n"
    )
    await admin.execute(
        "INSERT INTO archive.import_keys (conversation_no, fingerprint, import_no, entry_id, sent_at)"
        " SELECT n % 20, sha256(n::text::bytea), 1, 'ent_' || n, now() FROM generate_series(1, 20000) AS n"
    )
    await admin.execute("ANALYZE archive.search_rows, archive.import_keys")
    await admin.close()
    moments = [datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 12)]
    async with pool.acquire() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        rows = await connection.fetch(f"EXPLAIN {blocks.LIVE_ENTRIES}", 3, moments[:-1], moments[1:])
    shown = "\n".join(row[0] for row in rows)
    assert "Seq Scan on" not in shown, shown
