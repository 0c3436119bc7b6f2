"""Reactions amend the entry that they are about, in any order, twice, and before it."""

from __future__ import annotations

import itertools
from typing import Any

import asyncpg
import orjson
import pytest

from services.archive.domain.reading import NEWEST
from services.archive.record import AMEND_LIMIT, Recorder
from services.archive.store import read
from services.archive.store.amend import AMEND
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.events.event import Event
from shared.ids import NumberId, new_id
from tests.support.archive_events import (
    NOON,
    PHONE,
    TENANT,
    at,
    echoed,
    edited,
    message_id,
    reaction,
    received,
    released,
    sent,
    text,
)
from tests.support.archive_rows import FILL
from tests.support.database import Database

OTHER_PHONE = "+15557654321"
THUMB, HEART = "\U0001f44d", "\u2764\ufe0f"


async def reactions(pool: Pool, *, where: str = "true") -> list[dict[str, str]]:
    """Of the entries, oldest first: who reacted how."""
    rows = await pool.fetch(f"SELECT reactions FROM entries WHERE {where} ORDER BY sent_at")  # noqa: S608  # of this file
    return [
        {who: told["emoji"] for who, told in orjson.loads(row["reactions"]).items()} if row["reactions"] else {} for row in rows
    ]


async def wait_over(pool: Pool) -> None:
    """As if the time had passed until what waits is tried again."""
    await pool.execute("UPDATE amendments SET next_at = now()")
    recorder = Recorder(pool, Tenants(pool))
    while await recorder.amend():
        pass


async def test_a_reaction_is_no_entry_but_stands_with_the_one_it_is_about(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "look"), received("w2", seconds=5, content=reaction("w1", THUMB))])
    assert await reactions(pool) == [{PHONE: THUMB}]
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)
    assert (conversation.entry_count, conversation.unread_count, conversation.last_preview) == (1, 1, "look")
    (entry,) = await read.entries(pool, TENANT, conversation.id, NEWEST, 10)
    assert [(one.address, one.emoji, one.at) for one in entry.reactions] == [(PHONE, THUMB, at(5))]
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 0


async def test_the_last_reaction_of_each_person_counts_and_an_empty_one_takes_it_back(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1"), received("r1", seconds=5, content=reaction("w1", THUMB))])
    await recorder.record([received("r2", seconds=6, sender=OTHER_PHONE, content=reaction("w1", HEART))])
    await recorder.record([echoed("r3", seconds=7, content=reaction("w1", THUMB))])
    assert await reactions(pool) == [{PHONE: THUMB, OTHER_PHONE: HEART, "business": THUMB}]
    await recorder.record([received("r4", seconds=8, content=reaction("w1", None))])
    await recorder.record([received("r1", seconds=5, content=reaction("w1", THUMB))])
    assert await reactions(pool) == [{PHONE: "", OTHER_PHONE: HEART, "business": THUMB}]


async def test_a_reaction_to_what_we_sent_finds_it_by_the_providers_id(pool: Pool, recorder: Recorder) -> None:
    message, other = message_id(), message_id()
    await recorder.record([released(message, "one"), released(other, "two", seconds=1)])
    await recorder.record([received("r1", seconds=9, content=reaction("wamid.1", THUMB))])
    assert await reactions(pool) == [{}, {}]
    await recorder.record([sent(message, "wamid.1"), sent(other, "wamid.2")])
    await wait_over(pool)
    assert await reactions(pool) == [{PHONE: THUMB}, {}]


async def test_our_reaction_is_recorded_by_the_providers_id_and_by_our_own(pool: Pool, recorder: Recorder) -> None:
    message, reacting = message_id(), message_id()
    await recorder.record([released(message), received("w1", seconds=1)])
    await recorder.record([released(reacting, seconds=2, content=reaction(message, HEART)), sent(reacting, "wamid.r")])
    await recorder.record([released(message_id(), seconds=2, content=reaction("w1", THUMB))])
    assert await reactions(pool) == [{"business": HEART}, {"business": THUMB}]


async def test_a_reaction_without_what_it_is_about_is_an_entry_of_its_own(pool: Pool, recorder: Recorder) -> None:
    for index, odd in enumerate(({}, {"message_id": 7}, {"message_id": "\x00"}, [], "x")):
        await recorder.record([received(f"w{index}", content={"type": "reaction", "reaction": odd})])
    assert await pool.fetchval("SELECT count(*) FROM entries WHERE type = 'reaction'") == 5
    await recorder.record(
        [received("w1"), received("r", content={"type": "reaction", "reaction": {"message_id": "w1", "emoji": 1}})]
    )
    assert await pool.fetchval("SELECT count(*) FROM amendments") == 0


async def test_a_reaction_changes_nothing_else_about_its_entry(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", "one"), edited("w1", "two", seconds=3)])
    found = await pool.fetchrow("SELECT body, tsv::text, stored_in FROM search_rows")
    await recorder.record([received("r1", seconds=9, content=reaction("w1", THUMB))])
    assert await pool.fetchrow("SELECT body, tsv::text, stored_in FROM search_rows") == found
    assert await reactions(pool, where="edited_at IS NOT NULL") == [{PHONE: THUMB}]


async def test_every_order_gives_one_state(pool: Pool, recorder: Recorder) -> None:
    states: list[Any] = []
    for order in itertools.permutations(range(5)):
        number = NumberId(new_id("num"))
        told: list[Event] = [
            received("w1", number=number),
            received("r1", number=number, seconds=5, content=reaction("w1", THUMB)),
            received("r2", number=number, seconds=6, content=reaction("w1", HEART)),
            received("r3", number=number, seconds=6, sender=OTHER_PHONE, content=reaction("w1", THUMB)),
            edited("w1", "mended", number=number),
        ]
        for index in order:
            await recorder.record([told[index], told[index]])
    await wait_over(pool)
    states = [
        tuple(row)
        for row in await pool.fetch("SELECT reactions, content, edited_at, reactions->$1->>'emoji' FROM entries", PHONE)
    ]
    assert len(states) == 120
    assert len(set(states)) == 1
    assert states[0][3] == HEART


@pytest.mark.parametrize("name", [None, "Ana"])
async def test_who_speaks_in_a_group_is_kept_with_the_entry(name: str | None, pool: Pool, recorder: Recorder) -> None:
    await recorder.record(
        [received("w1", "one", name=name, group_id="120363"), received("w2", "two", seconds=1, group_id="120363")]
    )
    await recorder.record([received("w3", "three", seconds=2, group_id="120363", sender=OTHER_PHONE, name=None)])
    await recorder.record([released(message_id(), "four", seconds=3, to="group:120363")])
    rows = await pool.fetch(
        """
        SELECT search_rows.body, participants.address, participants.name, participants.is_business,
               entries.author_no IS NOT DISTINCT FROM search_rows.author_no AS is_alike
        FROM entries
        JOIN search_rows ON search_rows.entry_id = entries.id
        LEFT JOIN participants ON participants.participant_no = entries.author_no
        ORDER BY entries.sent_at
        """
    )
    assert [tuple(row) for row in rows] == [
        ("one", PHONE, "Ana", False, True),
        ("two", PHONE, "Ana", False, True),
        ("three", OTHER_PHONE, None, False, True),
        ("four", None, None, None, True),
    ]
    assert await pool.fetchval("SELECT count(*) FROM conversations") == 1


async def test_the_newest_name_of_who_speaks_wins_however_late_it_is_told(pool: Pool, recorder: Recorder) -> None:
    for wamid, name, seconds in (("w1", "Old", 0), ("w2", "New", 9), ("w3", "Between", 5), ("w4", None, 99)):
        await recorder.record([received(wamid, name=name, seconds=seconds, group_id="120363")])
    assert [tuple(row) for row in await pool.fetch("SELECT address, name FROM participants")] == [(PHONE, "New")]


async def test_people_of_groups_are_apart_and_a_contact_is_nobodys_participant(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", group_id="1"), received("w2", group_id="2"), received("w3")])
    assert await pool.fetchval("SELECT count(DISTINCT conversation_no) FROM participants") == 2
    assert await pool.fetchval("SELECT count(*) FROM entries WHERE author_no IS NULL") == 1
    assert [entry.content for entry in await read.entries(pool, TENANT, await _contacts(pool), NEWEST, 9)] == [text("hi")]


async def _contacts(pool: Pool) -> str:
    found: str = await pool.fetchval("SELECT id FROM conversations WHERE contact_phone = $1", PHONE)
    return found


async def test_what_is_amended_is_found_by_its_keys(database: Database, pool: Pool, recorder: Recorder) -> None:
    await recorder.ensure_months({NOON.replace(day=1, hour=0, month=month) for month in (9, 10, 11)})
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(FILL)
    await admin.close()
    async with pool.acquire() as connection:
        for mode in ("force_custom_plan", "force_generic_plan"):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {AMEND}", AMEND_LIMIT))
            for table in ("entries_2026_09", "entries_2026_10", "search_rows", "incoming", "outgoing", "amendments"):
                assert f"Seq Scan on {table}" not in shown, shown
