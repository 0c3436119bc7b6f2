"""Several writers at the same entries: whoever comes second finds what the first has left, and nobody waits in a circle."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from services.archive.cache import Changes
from services.archive.domain.entry import incoming_entry
from services.archive.domain.reading import NEWEST
from services.archive.erase import parts
from services.archive.imports.blocks import store_block
from services.archive.imports.frames import Frame
from services.archive.imports.refusal import Refused
from services.archive.record import Recorder
from services.archive.retain import Retention
from services.archive.store import blocks, erasing, read, retention
from services.archive.store import record as store
from services.archive.store.marking import mark_read
from services.archive.store.removal import remove
from services.archive.tenants import Tenants
from shared.clock import SystemClock
from shared.db.pool import Connection, Pool
from shared.erasure.person import Person
from shared.erasure.steps import Asking
from shared.events.event import Event
from shared.ids import EntryId, new_id
from tests.support.archive_events import TENANT, at, message_id, received, released
from tests.support.database import one_waits
from tests.support.told import silent_outbox

WHO = "+15558642097"
PERSON = Person(addresses=[WHO])


@asynccontextmanager
async def recording(pool: Pool, tenants: Tenants, **said: Any) -> AsyncIterator[Connection]:
    """A message that is stored, but not committed before the end."""
    numbers = await tenants.numbered({TENANT})
    async with pool.acquire() as connection, connection.transaction():
        entry = incoming_entry(EntryId(new_id("ent")), received(f"wamid.{new_id('evt')}", **said))
        await store.record(connection, [], [entry], numbers)
        yield connection


async def keys_of_all(pool: Pool) -> list[tuple[str, Any]]:
    return [(row["id"], row["sent_at"]) for row in await pool.fetch("SELECT id, sent_at FROM entries ORDER BY sent_at DESC")]


async def step(pool: Pool, place: str, *, erase: bool = True) -> int:
    asking = Asking(person=PERSON, place=f"{place}:", erase=erase)
    own, outbox = parts(Changes()), silent_outbox(pool, "archive")
    found = await own.step(outbox, TENANT, asking)
    if found.wamids:
        found = await own.step(outbox, TENANT, asking.model_copy(update={"announced": found.wamids}))
    return found.found


async def steps(pool: Pool, places: Sequence[str]) -> dict[str, int]:
    return {place: count for place in places if (count := await step(pool, place))}


async def test_who_records_and_who_removes_do_not_wait_in_a_circle(pool: Pool, recorder: Recorder) -> None:
    """Who records has a message's progress in hand first, and asks for its conversation then."""
    message = message_id()
    await recorder.record([released(message), received("w1", seconds=1)])
    keys = await keys_of_all(pool)

    async def remove_all() -> list[str]:
        async with pool.acquire() as connection, connection.transaction():
            return await remove(connection, keys)

    async with asyncio.TaskGroup() as group, pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM outgoing WHERE message_id = $1 FOR UPDATE", message)
        removing = group.create_task(remove_all())
        await one_waits(pool)
        await connection.execute("SET LOCAL lock_timeout = '2s'")
        await connection.execute("UPDATE conversations SET unread_count = unread_count")
    assert len(removing.result()) == 1
    assert await keys_of_all(pool) == []


async def test_who_records_waits_for_a_removal_at_its_end_only(pool: Pool, recorder: Recorder) -> None:
    """Everything else of it may take long."""
    await recorder.record([received("w1")])
    keys = await keys_of_all(pool)

    async def remove_all() -> None:
        async with pool.acquire() as connection, connection.transaction():
            await remove(connection, keys)

    async with asyncio.TaskGroup() as group, pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT FROM search_rows FOR UPDATE")
        group.create_task(remove_all())
        await one_waits(pool)
        async with pool.acquire() as other, other.transaction():
            await other.execute("SET LOCAL lock_timeout = '2s'")
            await other.execute("UPDATE conversations SET unread_count = unread_count")
    (conversation,) = await pool.fetch("SELECT entry_count, last_entry_at FROM conversations")
    assert tuple(conversation) == (0, None)


async def test_what_comes_while_marking_waits_is_unread(pool: Pool, recorder: Recorder, tenants: Tenants) -> None:
    await recorder.record([received("w1"), received("w2", seconds=5)])
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)

    async def mark() -> int:
        async with pool.acquire() as connection, connection.transaction():
            marked = await mark_read(connection, TENANT, conversation.id, at(1))
            assert marked is not None
            return marked.unread_count

    async with asyncio.TaskGroup() as group, recording(pool, tenants, seconds=9):
        marking = group.create_task(mark())
        await one_waits(pool)
    assert marking.result() == 2


async def test_a_conversation_that_somebody_writes_in_is_not_erased_from_under_it(
    pool: Pool, recorder: Recorder, tenants: Tenants
) -> None:
    await recorder.record([received("w1", sender=WHO)])
    assert await steps(pool, ["entries", "conversations"]) == {"entries": 1}, "its days are not counted yet"
    await pool.execute("DELETE FROM stale_days")
    async with asyncio.TaskGroup() as group, recording(pool, tenants, sender=WHO):
        erasing_ = group.create_task(step(pool, "conversations"))
        await one_waits(pool)
    assert erasing_.result() == 0
    assert await pool.fetchval("SELECT count(*) FROM entries JOIN conversations ON conversations.id = conversation_id") == 1
    assert await step(pool, "entries", erase=False) == 1, "the next pass finds it"


async def test_what_somebody_says_in_a_group_while_they_are_erased_is_found_by_the_next_pass(
    pool: Pool, recorder: Recorder
) -> None:
    await recorder.record([received("w1", sender=WHO, group_id="g1")])
    assert await steps(pool, ["speakers", "spoken"]) == {"speakers": 1, "spoken": 1}
    await recorder.record([received("w2", seconds=1, sender=WHO, group_id="g1")])
    assert await step(pool, "participants") == 1
    places = ["speakers", "spoken", "participants"]
    assert await steps(pool, places) == {"speakers": 1, "spoken": 1, "participants": 1}
    assert await steps(pool, places) == {}
    assert await keys_of_all(pool) == []


async def test_nobody_who_was_set_apart_becomes_an_author(pool: Pool, recorder: Recorder) -> None:
    """Not even of a message that was on its way into the table."""
    await recorder.record([received("w1", sender=WHO, group_id="g1")])
    number = await pool.fetchval("SELECT participant_no FROM participants")
    async with asyncio.TaskGroup() as group, pool.acquire() as connection, connection.transaction():
        assert await erasing.set_apart(connection, [number]) == 1
        group.create_task(recorder.record([received("w2", seconds=1, sender=WHO, group_id="g1")]))
        await one_waits(pool)
    authors = await pool.fetch("SELECT author_no FROM entries ORDER BY sent_at")
    assert [row["author_no"] == number for row in authors] == [True, False]
    keys = await pool.fetch("SELECT key FROM participants ORDER BY participant_no")
    assert [row["key"] for row in keys] == [f"gone:{number}", f"address:{WHO}"]


async def test_who_an_import_knows_is_erased_after_it(pool: Pool, recorder: Recorder, tenants: Tenants) -> None:
    await recorder.record([received("w1", sender=WHO, group_id="g1")])
    numbers = await tenants.numbered({TENANT})
    await pool.execute(
        """
        INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options, conversation_id, conversation_no)
        SELECT 'imp_1', $1, $2, 'importing', 'x', '{}', id, conversation_no FROM conversations
        """,
        TENANT,
        numbers[TENANT],
    )
    assert await steps(pool, ["speakers", "participants"]) == {}
    assert await step(pool, "speakers", erase=False) == 1
    await pool.execute("UPDATE imports SET state = 'completed'")
    assert await steps(pool, ["speakers", "spoken", "participants"]) == {"speakers": 1, "spoken": 1, "participants": 1}


async def test_an_empty_conversation_stays_for_the_import_that_opened_it(pool: Pool, tenants: Tenants) -> None:
    numbers = await tenants.numbered({TENANT})
    opened = await blocks.open_conversation(pool, "cnv_1", TENANT, "", "chat:x", "X")
    await pool.execute("UPDATE conversations SET created_at = now() - interval '2 days'")
    await pool.execute(
        """
        INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options, conversation_id, conversation_no)
        VALUES ('imp_1', $1, $2, 'importing', 'x', '{}', 'cnv_1', $3)
        """,
        TENANT,
        numbers[TENANT],
        opened.number,
    )
    assert await retention.forget_empty_conversations(pool, 10) == 0
    await pool.execute("DELETE FROM imports")
    async with pool.acquire() as connection, connection.transaction():
        assert await blocks.keep_conversation(connection, opened.number)
        assert await retention.forget_empty_conversations(pool, 10) == 0
    assert await retention.forget_empty_conversations(pool, 10) == 1


async def test_an_import_stores_nothing_into_a_conversation_that_is_gone(pool: Pool) -> None:
    gone = blocks.Conversation("cnv_1", 77, "chat:x", None)
    frame = Frame("block", {"width": 0, "files": {}, "months": []}, [b"", b"", b"", b"", b""])
    with pytest.raises(Refused):
        await store_block(pool, None, "lse_1", gone, 0, frame)  # type: ignore[arg-type]


async def test_an_import_does_not_know_who_is_just_being_set_apart(pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("w1", sender=WHO, group_id="g1")])
    row = await pool.fetchrow("SELECT participant_no, conversation_no, tenant_no, key FROM participants")
    assert row is not None
    given = [("prt_new", row["key"], WHO, "Wilhelmina", False), ("prt_bo", "name:bo", None, "Bo", False)]
    async with asyncio.TaskGroup() as group, pool.acquire() as connection, connection.transaction():
        assert await erasing.set_apart(connection, [row["participant_no"]]) == 1
        asking = group.create_task(blocks.ensure_speakers(pool, row["tenant_no"], row["conversation_no"], given))
        await one_waits(pool)
    found = asking.result()
    assert set(found) == {row["key"], "name:bo"}
    assert row["participant_no"] not in {number for number, _ in found.values()}
    assert await blocks.ensure_speakers(pool, row["tenant_no"], row["conversation_no"], given) == found


async def test_two_who_erase_the_same_person_erase_each_thing_once(pool: Pool, recorder: Recorder) -> None:
    said: list[Event] = [received(f"w{n}", f"word {n}", seconds=n, sender=WHO) for n in range(60)]
    said += [received(f"g{n}", f"word {n}", seconds=n, sender=WHO, group_id=f"g{n % 7}") for n in range(60)]
    said += [released(message_id(), f"to them {n}", seconds=n, to=WHO) for n in range(60)]
    await recorder.record(said)
    places = ("imports", "entries", "titles", "speakers", "spoken", "reactions", "amendments", "progress", "exports")

    async def erase() -> dict[str, int]:
        found = dict.fromkeys(places, 0)
        for place in places:
            after = f"{place}:"
            announced: list[str] = []
            while after.partition(":")[0] == place:
                asking = Asking(person=PERSON, place=after, announced=announced)
                taken = await parts(Changes()).step(silent_outbox(pool, "archive"), TENANT, asking)
                announced = taken.wamids
                found[place] += taken.found
                assert taken.place is not None
                after = taken.place
        return found

    async with asyncio.timeout(60):
        both = await asyncio.gather(*(erase() for _ in range(3)))
    total = {place: sum(found[place] for found in both) for place in places}
    assert {place: count for place, count in total.items() if count} == {"entries": 120, "speakers": 7, "spoken": 60}
    assert await pool.fetchval("SELECT count(*) FROM entries") == 0
    assert await pool.fetchval("SELECT sum(entry_count) FROM conversations") == 0


async def test_a_month_that_retention_takes_away_at_once_is_there_for_its_entry(pool: Pool) -> None:
    ended = asyncio.Event()
    clock = SystemClock()

    async def tidy() -> None:
        while not ended.is_set():
            await Retention(pool, clock, Changes(), months=0).tidy()

    async with asyncio.TaskGroup() as group:
        for _ in range(2):  # replicas
            group.create_task(tidy())
        for months_ago in range(1, 40):
            seconds = -months_ago * 31 * 86_400
            await Recorder(pool, Tenants(pool)).record([received(f"wamid.{months_ago}", seconds=seconds)])
        ended.set()
    assert await pool.fetchval("SELECT count(*) FROM entries") == 39
