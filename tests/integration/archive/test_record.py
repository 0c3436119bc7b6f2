"""What the archive keeps of events that come in any order, twice and side by side."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from services.archive.cache import Changes
from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus
from services.archive.domain.reading import NEWEST, ArchivedEntry, Conversation
from services.archive.record import Recorder
from services.archive.store import read
from services.archive.store import record as store
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.events.event import Event
from shared.events.values import DeliveryStatus
from shared.ids import NumberId, TenantId, is_id, new_id
from tests.support.archive_events import (
    NUMBER,
    OTHER_TENANT,
    PHONE,
    TENANT,
    at,
    canceled,
    deferred,
    echoed,
    edited,
    failed,
    message_id,
    received,
    released,
    reported,
    sent,
    text,
    unsettled,
)


async def only_conversation(pool: Pool, tenant: TenantId = TENANT) -> Conversation:
    (conversation,) = await read.conversations(pool, tenant, NEWEST, 10)
    return conversation


async def entries_of(pool: Pool, tenant: TenantId = TENANT) -> list[ArchivedEntry]:
    """All entries of the tenant's one conversation, newest first."""
    return await read.entries(pool, tenant, (await only_conversation(pool, tenant)).id, NEWEST, 100)


async def test_a_message_and_its_answer_are_one_conversation(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    await recorder.record([released(message, "Your order is on its way")])
    await recorder.record([sent(message, "wamid.out", seconds=0.2)])
    await recorder.record([reported(message, "wamid.out", DeliveryStatus.DELIVERED, seconds=1)])
    await recorder.record(
        [
            received("wamid.in", "Thank you\nso much", seconds=2, name="Ana"),
            reported(message, "wamid.out", DeliveryStatus.READ, seconds=2),
        ]
    )

    conversation = await only_conversation(pool)
    assert is_id(conversation.id, "cnv")
    assert (conversation.number_id, conversation.contact_phone, conversation.contact_name) == (NUMBER, PHONE, "Ana")
    assert (conversation.entry_count, conversation.unread_count) == (2, 1)
    assert (conversation.last_direction, conversation.last_preview) == (Direction.INCOMING, "Thank you so much")
    answer, first = await entries_of(pool)
    assert conversation.last_entry_id == answer.id
    assert conversation.last_entry_at == answer.sent_at
    assert (answer.wamid, answer.status, answer.content) == ("wamid.in", None, text("Thank you\nso much"))
    assert is_id(first.id, "ent")
    assert (first.message_id, first.wamid, first.sent_at) == (message, "wamid.out", at(0))
    assert (first.status, first.status_at) == (EntryStatus.READ, at(2))


async def test_what_the_business_writes_from_its_phone_is_outgoing(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    for _ in range(2):
        await recorder.record([echoed("wamid.echo", seconds=3), received("wamid.in"), released(message, seconds=1)])
    conversation = await only_conversation(pool)
    assert (conversation.entry_count, conversation.unread_count) == (3, 1)
    assert (conversation.last_direction, conversation.last_preview) == (Direction.OUTGOING, "from my phone")
    echo = (await entries_of(pool))[0]
    assert (echo.message_id, echo.wamid, echo.status) == (None, "wamid.echo", None)


async def test_history_is_not_unread(pool: Pool, recorder: Recorder) -> None:
    await recorder.record(
        [received("wamid.old", is_history=True), echoed("wamid.older", is_history=True), received("wamid.in")]
    )
    conversation = await only_conversation(pool)
    assert (conversation.entry_count, conversation.unread_count) == (3, 1)


async def test_somebody_without_a_number_and_a_group_have_conversations(pool: Pool, recorder: Recorder) -> None:
    user_id = "US.13491208655302741918"
    await recorder.record([received("w1", sender=user_id), released(message_id(), to=user_id)])
    await recorder.record([received("w2", group_id="120363"), released(message_id(), to="group:120363")])
    found = await read.conversations(pool, TENANT, NEWEST, 10)
    assert {(one.contact_phone, one.contact_name, one.entry_count) for one in found} == {
        (user_id, "Ana", 2),
        ("group:120363", None, 2),
    }


async def test_any_order_in_any_batches_twice_gives_one_state(pool: Pool) -> None:
    """The same story told in many ways to as many numbers ends the same."""
    chance = random.Random(7)  # noqa: S311  # the same orders in every run
    told: list[dict[str, Any]] = []
    for _ in range(40):
        number, first, second = NumberId(new_id("num")), message_id(), message_id()
        story: list[Event] = [
            released(first, "one", number=number),
            deferred(first),
            released(first, "one", seconds=5, attempt=2, number=number),
            unsettled(first, seconds=6, attempt=2),
            reported(first, "wamid.1", DeliveryStatus.SENT, seconds=7, attempt=2),
            reported(first, "wamid.1", DeliveryStatus.READ, seconds=9, attempt=2),
            reported(first, "wamid.1", DeliveryStatus.DELIVERED, seconds=8, attempt=2),
            released(second, "two", seconds=1, number=number),
            sent(second, "wamid.2", seconds=1.1),
            reported(second, "wamid.2", DeliveryStatus.FAILED, seconds=3),
            received("wamid.3", "three", seconds=10, number=number, name="Old name"),
            received("wamid.4", "four", seconds=11, number=number, name="New name"),
            received("wamid.5", "five", seconds=12, number=number, name=None),
        ]
        # The first release marks the message's place; the second attempt's comes seconds later and never overtakes it.
        order = sorted([*story, *story], key=lambda _: chance.random())
        order.sort(key=lambda event: event is story[2])
        await tell(Recorder(pool, Tenants(pool)), order, chance)
        told.append(await state_of(pool, number))
    assert all(state == told[0] for state in told)
    assert told[0]["entries"] == [
        ("five", None, "wamid.5"),
        ("four", None, "wamid.4"),
        ("three", None, "wamid.3"),
        ("two", "failed", "wamid.2"),
        ("one", "read", "wamid.1"),
    ]
    assert told[0]["conversation"]["contact_name"] == "New name"
    assert told[0]["conversation"]["entry_count"] == 5


async def tell(recorder: Recorder, events: Sequence[Event], chance: random.Random) -> None:
    """In batches of random sizes."""
    rest = list(events)
    while rest:
        size = chance.randint(1, 9)
        await recorder.record(rest[:size])
        rest = rest[size:]


async def state_of(pool: Pool, number: NumberId) -> dict[str, Any]:
    """All that can be read of a number's one conversation, ids aside."""
    (conversation,) = [c for c in await read.conversations(pool, TENANT, NEWEST, 1000) if c.number_id == number]
    rows = await read.entries(pool, TENANT, conversation.id, NEWEST, 100)
    shown = {key: value for key, value in asdict(conversation).items() if key not in ("id", "no", "number_id", "last_entry_id")}
    return {
        "conversation": shown,
        "entries": [(row.content["text"]["body"], row.status and row.status.value, row.wamid) for row in rows],
        "times": [(row.sent_at, row.status_at, row.error_code) for row in rows],
    }


async def test_every_order_of_a_short_story(pool: Pool) -> None:
    states = []
    for order in itertools.permutations(range(4)):
        number, message = NumberId(new_id("num")), message_id()
        story = [
            released(message, "one", number=number),
            sent(message, "wamid.1"),
            reported(message, "wamid.1", DeliveryStatus.DELIVERED, seconds=1, attempt=None),
            received("wamid.2", "two", seconds=2, number=number),
        ]
        recorder = Recorder(pool, Tenants(pool))
        for index in order:
            await recorder.record([story[index]])
        states.append(await state_of(pool, number))
    assert all(state == states[0] for state in states)
    assert states[0]["entries"] == [("two", None, "wamid.2"), ("one", "delivered", "wamid.1")]


async def test_batches_side_by_side_neither_block_nor_lose(pool: Pool) -> None:
    """Eight writers tell overlapping parts of the same story about the same conversations."""
    chance = random.Random(11)  # noqa: S311  # the same orders in every run
    messages = [message_id() for _ in range(60)]
    phones = [f"+1555000{index:04}" for index in range(7)]
    story: list[Event] = []
    for index, message in enumerate(messages):
        phone = phones[index % len(phones)]
        story += [
            released(message, f"out {index}", seconds=index, to=phone),
            sent(message, f"wamid.o{index}", seconds=index),
            reported(message, f"wamid.o{index}", DeliveryStatus.READ, seconds=index + 1),
            received(f"wamid.i{index}", f"in {index}", seconds=index, sender=phone),
        ]
    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(tell_shuffled(Recorder(pool, Tenants(pool)), story, random.Random(chance.random())))  # noqa: S311  # a seed
    conversations = await read.conversations(pool, TENANT, NEWEST, 100)
    assert sorted(c.contact_phone for c in conversations) == phones
    assert sum(c.entry_count for c in conversations) == 120
    assert sum(c.unread_count for c in conversations) == 60
    for conversation in conversations:
        rows = await read.entries(pool, TENANT, conversation.id, NEWEST, 100)
        assert len(rows) == conversation.entry_count
        assert rows[0].id == conversation.last_entry_id
        assert {row.status for row in rows} == {None, EntryStatus.READ}


async def tell_shuffled(recorder: Recorder, events: Sequence[Event], chance: random.Random) -> None:
    shuffled = sorted(events, key=lambda _: chance.random())
    for start in range(0, len(shuffled), 50):
        await recorder.record(shuffled[start : start + 50])


async def test_a_report_before_its_message_waits_for_it(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    await recorder.record([reported(message, "wamid.1", DeliveryStatus.READ, seconds=3)])
    assert await read.conversations(pool, TENANT, NEWEST, 10) == []
    await recorder.record([released(message)])
    (entry,) = await entries_of(pool)
    assert (entry.status, entry.wamid) == (EntryStatus.READ, "wamid.1")


async def test_a_second_attempt_is_the_same_entry_and_starts_again(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    await recorder.record([released(message), failed(message)])
    (entry,) = await entries_of(pool)
    assert (entry.status, entry.error_code) == (EntryStatus.FAILED, "provider.refused")
    await recorder.record([released(message, attempt=2, seconds=60)])
    (entry,) = await entries_of(pool)
    assert (entry.status, entry.error_code, entry.sent_at) == (EntryStatus.QUEUED, None, at(0))


async def test_a_message_that_was_deferred_and_canceled_says_so(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    await recorder.record([canceled(message), deferred(message), released(message)])
    (entry,) = await entries_of(pool)
    assert entry.status is EntryStatus.CANCELED


async def test_nobody_can_tell_of_another_tenants_message(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    lie = reported(message, "wamid.lie", DeliveryStatus.FAILED, seconds=9, tenant=OTHER_TENANT)
    await recorder.record([lie])
    await recorder.record([released(message), sent(message, "wamid.1")])
    await recorder.record([lie])
    (entry,) = await entries_of(pool)
    assert (entry.status, entry.wamid) == (EntryStatus.SENT, "wamid.1")


async def test_tenants_with_the_same_contact_have_conversations_of_their_own(pool: Pool, recorder: Recorder) -> None:
    other_number = NumberId(new_id("num"))
    await recorder.record(
        [received("wamid.1", "for one"), received("wamid.1", "for another", tenant=OTHER_TENANT, number=other_number)]
    )
    (mine,), (theirs,) = await entries_of(pool), await entries_of(pool, OTHER_TENANT)
    assert (mine.content, theirs.content) == (text("for one"), text("for another"))
    assert await read.conversation(pool, TENANT, theirs.conversation_id) is None


async def test_messages_of_one_second_keep_the_order_in_which_they_were_heard(pool: Pool, recorder: Recorder) -> None:
    """The provider tells whole seconds: an answer must not stand before what it answers."""
    await recorder.record([released(message_id(), "question", seconds=0.4)])
    await recorder.record([received("wamid.z", "first", heard_after=0.6)])
    await recorder.record([received("wamid.a", "second", heard_after=0.9)])
    await recorder.record([received("wamid.b", "third", heard_after=3), received("wamid.0", "fourth", heard_after=3)])
    bodies = [entry.content["text"]["body"] for entry in await entries_of(pool)]
    assert bodies == ["fourth", "third", "second", "first", "question"]


async def test_a_tenant_has_one_number_whoever_asks_first(pool: Pool) -> None:
    names = [TenantId(new_id("tnt")) for _ in range(20)]
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(Tenants(pool).numbered(names[start : start + 15])) for start in (0, 5, 3, 0)]
    known = await Tenants(pool).numbered(names)
    assert len(set(known.values())) == len(names)
    assert all(one.result().items() <= known.items() for one in asked)
    assert await Tenants(pool).known(TenantId("tnt_nobody")) is None


async def test_readers_are_told_once_a_batch_what_changed(pool: Pool, tenants: Tenants) -> None:
    told: list[tuple[set[str], set[str], set[str]]] = []

    class Listening(Changes):
        async def changed(self, *groups: Any) -> None:
            told.append((set(groups[0]), set(groups[1]), set(groups[2])))

    recorder, message = Recorder(pool, tenants, Listening()), message_id()
    await recorder.record([released(message), sent(message, "wamid.1"), received("w", number=NumberId("num_other"))])
    conversations = {row["id"] for row in await pool.fetch("SELECT id FROM conversations")}
    assert len(conversations) == 2
    await recorder.record([reported(message, "wamid.1", DeliveryStatus.READ, seconds=1)])
    await recorder.record([edited("w", number=NumberId("num_other"))])
    await recorder.record([received("w", number=NumberId("num_other"))])
    of_edited = await pool.fetchval("SELECT id FROM conversations WHERE number_id = 'num_other'")
    assert told == [
        (conversations, {TENANT}, set()),
        (set(), set(), {message}),
        ({of_edited}, {TENANT}, set()),
        ({of_edited}, {TENANT}, set()),
    ]


async def test_facts_whose_message_never_came_are_forgotten_in_time(pool: Pool, recorder: Recorder) -> None:
    message = message_id()
    await recorder.record([canceled(message_id()), released(message)])
    assert await store.forget_without_entry(pool, days=7) == 0
    await pool.execute("UPDATE outgoing SET told_at = told_at - interval '8 days'")
    assert await store.forget_without_entry(pool, days=7) == 1
    assert (await entries_of(pool))[0].status is EntryStatus.QUEUED


async def test_text_that_postgres_cannot_hold_is_kept_without_it(pool: Pool, recorder: Recorder) -> None:
    content = {"type": "text", "text": {"body": "a\x00b"}, "a\x00": ["\x00"]}
    await recorder.record([received("wamid.\x00", content=content, name="A\x00na")])
    (entry,) = await entries_of(pool)
    assert entry.content == {"type": "text", "text": {"body": "ab"}, "a": [""]}
    assert (await only_conversation(pool)).contact_name == "Ana"


async def test_a_full_batch_of_every_kind(pool: Pool, recorder: Recorder) -> None:
    messages = [message_id() for _ in range(64)]
    batch: list[Event] = [released(m, f"hello {i}", seconds=i, to=f"+1555{i % 9:07}") for i, m in enumerate(messages)]
    batch += [sent(m, f"wamid.{m}", seconds=i) for i, m in enumerate(messages)]
    batch += [reported(m, f"wamid.{m}", DeliveryStatus.DELIVERED, seconds=i) for i, m in enumerate(messages)]
    batch += [received(f"wamid.{i}", f"hi {i}", seconds=i, sender=f"+1555{i % 9:07}") for i in range(64)]
    assert len(batch) == 256
    await recorder.record(batch)
    conversations = await read.conversations(pool, TENANT, NEWEST, 100)
    assert len(conversations) == 9
    assert sum(conversation.entry_count for conversation in conversations) == 128
