"""What is said of entries after they were written, in any order, twice, before them and side by side."""

from __future__ import annotations

import asyncio
import itertools
import random
import re
from collections.abc import Sequence
from typing import Any

import asyncpg
import orjson
import pytest

from services.archive.domain.amendment import amendment_of
from services.archive.domain.analyzer import quote
from services.archive.domain.indexing import term_lexeme
from services.archive.domain.reading import NEWEST, ArchivedEntry
from services.archive.jobs import jobs
from services.archive.record import Recorder, forget_without_entry
from services.archive.store import amend as amendments
from services.archive.store import read
from services.archive.store.record import RECORD
from services.archive.tenants import Tenants
from shared.clock import SystemClock
from shared.db.pool import Pool
from shared.events.event import Event
from shared.ids import NumberId, new_id
from tests.support.archive_events import (
    NUMBER,
    OTHER_TENANT,
    TENANT,
    at,
    echoed,
    edited,
    lost,
    message_id,
    received,
    released,
    revoked,
    stored,
    text,
)

WAITS_FOR_ME = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
IMAGE = {"type": "image", "image": {"id": "1", "caption": "look at this"}}
FILE = {"media_id": "med_1", "mime_type": "image/jpeg", "size_bytes": 1234}


async def entries_of(pool: Pool, number: NumberId = NUMBER) -> list[ArchivedEntry]:
    """All entries of the number's one conversation, newest first."""
    (one,) = [one for one in await read.conversations(pool, TENANT, NEWEST, 1000) if one.number_id == number]
    return await read.entries(pool, TENANT, one.id, NEWEST, 100)


async def last_of(pool: Pool, number: NumberId = NUMBER) -> tuple[str, str]:
    """Type and preview of the conversation's last entry."""
    (one,) = [one for one in await read.conversations(pool, TENANT, NEWEST, 1000) if one.number_id == number]
    return one.last_type, one.last_preview


async def found(pool: Pool, word: str) -> list[str]:
    """What is found by a word."""
    lexeme = quote(term_lexeme(await Tenants(pool).known(TENANT) or 0, word))
    return [row["body"] for row in await pool.fetch("SELECT body FROM search_rows WHERE tsv @@ $1::text::tsquery", lexeme)]


async def versions(pool: Pool, entry_id: str) -> list[dict[str, Any]]:
    """What the entry said before, newest first."""
    rows = await pool.fetch(
        "SELECT content FROM entry_versions WHERE entry_id = $1 ORDER BY since DESC, content DESC", entry_id
    )
    return [orjson.loads(row["content"]) for row in rows]


async def wait_over(pool: Pool) -> None:
    """As if the time had passed until what waits is tried again."""
    await pool.execute("UPDATE amendments SET next_at = now()")
    recorder = Recorder(pool, Tenants(pool))
    while await recorder.amend():
        pass


async def test_an_edit_is_what_the_entry_says_and_is_found_by(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", "I am in Lima")])
    await recorder.record([edited("w", "I am in  Cusco\nnow", seconds=60)])
    (entry,) = await entries_of(pool)
    assert (entry.content, entry.edited_at, entry.revoked_at, entry.sent_at) == (
        text("I am in  Cusco\nnow"),
        at(60),
        None,
        at(0),
    )
    assert await found(pool, "lima") == []
    assert await found(pool, "cusco") == ["I am in  Cusco\nnow"]
    assert await last_of(pool) == ("text", "I am in Cusco now")
    assert await versions(pool, entry.id) == [text("I am in Lima")]


async def test_an_older_edit_never_overrides_a_newer_one(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", "one")])
    await recorder.record([edited("w", "three", seconds=30)])
    await recorder.record([edited("w", "two", seconds=20)])
    (entry,) = await entries_of(pool)
    assert (entry.content, entry.edited_at) == (text("three"), at(30))
    assert await versions(pool, entry.id) == [text("two"), text("one")]
    assert await last_of(pool) == ("text", "three")
    assert await found(pool, "two") == []


async def test_an_edit_may_change_the_kind_of_content(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", content=IMAGE), edited("w", content={"type": "image", "image": {"id": "1"}})])
    (entry,) = await entries_of(pool)
    assert (entry.type, await last_of(pool), await found(pool, "look")) == ("image", ("image", ""), [])


async def test_an_edited_image_is_found_by_its_marks_still(pool: Pool, recorder: Recorder) -> None:
    new = {"type": "image", "image": {"id": "1", "caption": "look there"}}
    await recorder.record([received("w", content=IMAGE), received("w2", content=new)])
    await recorder.record([edited("w", content=new)])
    rows = await pool.fetch("SELECT tsvector_to_array(tsv) AS marks FROM search_rows")
    assert len(rows) == 2
    assert rows[0]["marks"] == rows[1]["marks"]
    assert [mark.partition("~")[2][:1] for mark in rows[0]["marks"] if "~" in mark] == ["c", "d", "f", "m", "t"]


async def test_what_is_taken_back_is_neither_shown_nor_previewed_nor_found(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", content=IMAGE), stored("w", "med_1"), received("w2", "stays", seconds=-9)])
    await recorder.record([revoked("w", seconds=9)])
    entry, other = await entries_of(pool)
    assert (entry.type, entry.content, entry.media) == ("revoked", {"type": "revoked"}, None)
    assert (entry.revoked_at, entry.edited_at) == (at(9), None)
    assert (other.content, other.revoked_at) == (text("stays"), None)
    assert await last_of(pool) == ("revoked", "")
    assert await found(pool, "look") == []
    assert await found(pool, "stays") == ["stays"]
    assert await pool.fetchval("SELECT content->'image'->>'caption' FROM entries WHERE id = $1", entry.id) == "look at this"
    row = await pool.fetchrow("SELECT type, body, tsv::text FROM search_rows WHERE entry_id = $1", entry.id)
    assert row is not None
    assert (row["type"], row["body"]) == ("revoked", "")
    assert "look" not in row["tsv"]
    assert "~t:image" not in row["tsv"]


async def test_an_edit_of_what_was_taken_back_brings_nothing_back(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", "secret"), revoked("w", seconds=20)])
    await recorder.record([edited("w", "secret still", seconds=10)])
    (entry,) = await entries_of(pool)
    assert (entry.type, entry.content, entry.revoked_at) == ("revoked", {"type": "revoked"}, at(20))
    assert (await last_of(pool), await found(pool, "secret")) == (("revoked", ""), [])


async def test_only_a_last_entry_is_previewed(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "first"), received("w2", "second", seconds=5)])
    await recorder.record([edited("w1", "first, mended"), revoked("w1")])
    assert await last_of(pool) == ("text", "second")


async def test_a_file_is_shown_with_its_entry(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", content=IMAGE), received("w2", content=IMAGE, seconds=1)])
    await recorder.record([stored("w1", "med_1", file_name="a\x00.jpg"), lost("w2"), stored(None, "med_2", number=None)])
    second, first = await entries_of(pool)
    assert (first.media, second.media) == (FILE | {"file_name": "a.jpg"}, {"lost": "media.too_large"})
    assert first.content == IMAGE
    assert await last_of(pool) == ("image", "look at this")
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 0


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
async def test_a_stored_file_stands_above_a_lost_one(order: Sequence[int], pool: Pool, recorder: Recorder) -> None:
    told: list[Event] = [lost("w"), stored("w", "med_1"), lost("w", "media.expired")]
    await recorder.record([received("w", content=IMAGE)])
    for index in order:
        await recorder.record([told[index]])
    (entry,) = await entries_of(pool)
    assert entry.media == FILE


async def test_what_the_business_wrote_from_its_phone_is_amended_too(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([echoed("w"), edited("w", "mended")])
    (entry,) = await entries_of(pool)
    assert entry.content == text("mended")


async def test_an_entry_from_before_its_month_was_kept_is_found(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", "one", seconds=-90 * 86_400), received("w2", "two")])
    await pool.execute("UPDATE incoming SET sent_at = NULL")
    await recorder.record([edited("w", "mended")])
    assert [entry.content for entry in await entries_of(pool)] == [text("two"), text("mended")]


async def test_an_amendment_waits_for_its_entry(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([edited("w", "mended"), stored("w", "med_1")])
    await recorder.record([received("w", "as written")])
    assert [entry.content for entry in await entries_of(pool)] == [text("as written")]
    await wait_over(pool)
    (entry,) = await entries_of(pool)
    assert (entry.content, entry.media) == (text("mended"), FILE)
    assert await versions(pool, entry.id) == [text("as written")]
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 0


async def test_what_waits_is_tried_again_at_longer_and_longer_times_and_forgotten_in_the_end(
    pool: Pool, recorder: Recorder
) -> None:
    await recorder.record([edited("never")])
    waits = []
    for age in ("1 second", "10 minutes", "2 days"):
        await pool.execute("UPDATE amendments SET next_at = now(), told_at = now() - $1::text::interval", age)
        assert not await recorder.amend()
        waits.append(await pool.fetchval("SELECT round(extract(epoch FROM next_at - now()) / 5) * 5 FROM amendments"))
    assert waits == [5, 600, 3600]
    await forget_without_entry(pool)
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 1
    await pool.execute("UPDATE amendments SET told_at = now() - interval '8 days'")
    await forget_without_entry(pool)
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 0


async def test_a_batch_without_amendments_is_one_statement_and_looks_for_none(
    pool: Pool, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recorder.record([received("w")])
    told: list[str] = []
    fetch = asyncpg.Connection.fetch

    async def listen(self: Any, query: str, *arguments: Any, **more: Any) -> list[asyncpg.Record]:
        told.append(query)
        return await fetch(self, query, *arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(asyncpg.Connection, "fetch", listen)
        patch.setattr(asyncpg.Connection, "execute", None)
        patch.setattr(asyncpg.Connection, "fetchval", None)
        await recorder.record([received("w2"), released(message_id()), stored(None, "med_1", number=None)])
    assert told == [RECORD]


async def test_there_is_a_job_for_what_waits(pool: Pool, recorder: Recorder) -> None:
    assert "archive.amend" in {job.name for job in jobs(pool, recorder, SystemClock())}


async def test_nobody_can_amend_another_tenants_entry(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", "mine")])
    await recorder.record([edited("w", "theirs", tenant=OTHER_TENANT)])
    await wait_over(pool)
    (entry,) = await entries_of(pool)
    assert (entry.content, entry.edited_at) == (text("mine"), None)


async def test_text_that_postgres_cannot_hold_is_kept_without_it(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w\x00"), edited("w\x00", content={"type": "text", "text": {"body": "a\x00b"}, "\x00": 1})])
    (entry,) = await entries_of(pool)
    assert entry.content == text("ab") | {"": 1}


def story_of(number: NumberId) -> list[Event]:
    return [
        received("w", content=IMAGE, number=number),
        edited("w", "second", seconds=20, number=number),
        edited("w", "third", seconds=30, number=number),
        edited("w", "third too", seconds=30, number=number),
        stored("w", "med_1", number=number),
    ]


async def state_of(pool: Pool, number: NumberId) -> dict[str, Any]:
    """All that is kept of a number's one entry, ids aside."""
    (entry,) = await entries_of(pool, number)
    row = await pool.fetchrow("SELECT type, content, edited_at, revoked_at, media FROM entries WHERE id = $1", entry.id)
    search_row = await pool.fetchrow("SELECT type, body, tsv::text FROM search_rows WHERE entry_id = $1", entry.id)
    assert row is not None
    assert search_row is not None
    found = {**search_row, "tsv": sorted(re.sub(r"~c\d+", "~c", search_row["tsv"]).split())}
    said = {"versions": await versions(pool, entry.id), "last": await last_of(pool, number), "shown": entry.content}
    return {**row, **said, "found": found}


async def test_every_order_gives_one_state(pool: Pool, recorder: Recorder) -> None:
    numbers = []
    for order in itertools.permutations(range(5)):
        number = NumberId(new_id("num"))
        told = story_of(number)
        for start in range(0, 5, 2):
            await recorder.record([told[index] for index in order[start : start + 2]])
        numbers.append(number)
    await wait_over(pool)
    states = [await state_of(pool, number) for number in numbers]
    assert all(state == states[0] for state in states)
    assert states[0]["shown"] == text("third too")
    assert states[0]["versions"] == [text("third"), text("second"), IMAGE]
    assert states[0]["last"] == ("text", "third too")
    assert orjson.loads(states[0]["media"]) == FILE


async def test_every_order_of_what_is_taken_back_gives_one_state(pool: Pool, recorder: Recorder) -> None:
    numbers = []
    for order in itertools.permutations(range(4)):
        number = NumberId(new_id("num"))
        told = [*story_of(number)[:2], revoked("w", number=number), stored("w", "med_1", number=number)]
        for index in order:
            await recorder.record([told[index], told[index]])
        numbers.append(number)
    await wait_over(pool)
    states = [await state_of(pool, number) for number in numbers]
    assert all(state == states[0] for state in states)
    assert (states[0]["found"]["body"], states[0]["last"]) == ("", ("revoked", ""))


async def test_whoever_waits_for_an_entry_goes_on_with_what_it_says_then(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w", "one")])
    first, second = (amendment_of(event) for event in (edited("w", "three", seconds=30), edited("w", "two", seconds=20)))
    assert first is not None
    assert second is not None
    numbers = await Tenants(pool).numbered({TENANT})
    async with asyncio.TaskGroup() as group, pool.acquire() as ahead, ahead.transaction():
        await amendments.note(ahead, [first], numbers)
        assert (await amendments.amend(ahead, limit=10)).looked_at == 1
        await amendments.note(pool, [second], numbers)
        behind = group.create_task(amendments.amend(pool, limit=10))
        async with asyncio.timeout(60):
            while not await ahead.fetchval(WAITS_FOR_ME):
                assert not behind.done()
    (entry,) = await entries_of(pool)
    assert entry.content == text("three")
    assert await versions(pool, entry.id) == [text("two"), text("one")]
    assert await last_of(pool) == ("text", "three")


async def test_a_full_batch_of_amendments(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received(f"w{index}", seconds=index, sender=f"+1555{index % 7:07}") for index in range(300)])
    await recorder.record([edited(f"w{index}", f"edit {index}") for index in range(300)])
    assert await pool.fetchval("SELECT count(*) FROM entries WHERE edited_at IS NOT NULL") == 300
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 0


async def test_replicas_that_hear_of_the_same_entries_lose_nothing(pool: Pool) -> None:
    """Every recorder hears everything, in its own order; each entry is edited by many at once."""
    chance = random.Random(3)  # noqa: S311  # the same orders in every run
    wamids = [f"w{index}" for index in range(6)]
    edits = 12
    story: list[Event] = [received(wamid, "0", seconds=index, sender=f"+1555{index:07}") for index, wamid in enumerate(wamids)]
    story += [released(message_id(), "out", seconds=index, to=f"+1555{index % 6:07}") for index in range(-30, 0)]
    story += [edited(wamid, str(step), seconds=60 + step) for step in range(1, edits + 1) for wamid in wamids]
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            order = sorted(story, key=lambda _: chance.random())
            group.create_task(tell(Recorder(pool, Tenants(pool)), order))
    await wait_over(pool)
    conversations = await read.conversations(pool, TENANT, NEWEST, 100)
    assert len(conversations) == 6
    for conversation in conversations:
        entry = (await read.entries(pool, TENANT, conversation.id, NEWEST, 100))[0]
        assert entry.content == text(str(edits))
        assert await versions(pool, entry.id) == [text(str(step)) for step in range(edits - 1, -1, -1)]
        assert (conversation.last_preview, conversation.entry_count) == (str(edits), 6)


async def tell(recorder: Recorder, events: Sequence[Event]) -> None:
    for start in range(0, len(events), 10):
        await recorder.record(events[start : start + 10])
