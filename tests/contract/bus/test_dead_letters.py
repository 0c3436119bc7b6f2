"""Dead letters are looked at without being touched, and replayed or thrown away one by one; consumers are told to begin anew."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, FieldValue

from shared.bus import memory, rabbit_letters, routing
from shared.bus.dead_letters import DeadLetter
from shared.bus.interface import Bus, Refused, Subscription, UnknownQueue
from shared.bus.publisher import Publisher
from shared.bus.rabbit import open_rabbit
from shared.errors import Permanent, Retry
from shared.events.codec import Batch, encode
from shared.events.event import Event
from tests.contract.bus.events import HappenedTwice, OtherHappened, happened, seq
from tests.contract.bus.harness import DEADLINE_SECONDS, Publishing, Recorder, consuming, settled, started, subscription, until

DEAD = subscription("test.dying")


def all_of_them(_: DeadLetter) -> bool:
    return True


@asynccontextmanager
async def dying(bus: Bus, publishing: Publishing, numbers: Sequence[int]) -> AsyncIterator[Recorder]:
    """As many dead letters as `numbers`, and a consumer to whom nothing is deadly any more."""
    await bus.declare([DEAD])
    deadly = True

    async def fail(events: Sequence[Event]) -> None:
        if deadly:
            raise Permanent("test.never")

    recorder = Recorder(fail)
    async with consuming(bus, DEAD, recorder):
        publishing.events(happened(numbers))
        await settled(bus, DEAD, dead=len(numbers))
        deadly = False
        recorder.calls.clear()
        yield recorder


async def test_looking_changes_nothing(bus: Bus, publishing: Publishing) -> None:
    async with dying(bus, publishing, range(5)):
        looks = [await bus.dead_letters(DEAD.name) for _ in range(30)]
        await settled(bus, DEAD, dead=5)
    assert {look.total for look in looks} == {5}
    assert len({frozenset(letter.letter_id for letter in look.letters) for look in looks}) == 1
    letters = looks[-1].letters
    assert sorted(seq(letter.events[0]) for letter in letters) == list(range(5))
    assert {(letter.queue, letter.code, letter.attempts) for letter in letters} == {("test.dying", "test.never", 1)}
    assert all(letter.died_at is not None for letter in letters)


async def test_a_replayed_letter_is_handled_again_and_the_others_stay(bus: Bus, publishing: Publishing) -> None:
    async with dying(bus, publishing, range(4)) as recorder:
        letters = {seq(letter.events[0]): letter.letter_id for letter in (await bus.dead_letters(DEAD.name)).letters}
        count = await bus.settle_dead_letters(DEAD.name, lambda letter: letter.letter_id == letters[2], replay=True)
        await recorder.has(1)
        await settled(bus, DEAD, dead=3)
    assert (count, recorder.seqs) == (1, [2])


async def test_a_letter_that_dies_again_is_the_same_letter(bus: Bus, publishing: Publishing) -> None:
    await bus.declare([DEAD])

    async def fail(events: Sequence[Event]) -> None:
        raise Permanent("test.never")

    recorder = Recorder(fail)
    async with consuming(bus, DEAD, recorder):
        publishing.events(happened([1]))
        await settled(bus, DEAD, dead=1)
        before = (await bus.dead_letters(DEAD.name)).letters[0]
        assert await bus.settle_dead_letters(DEAD.name, all_of_them, replay=True) == 1
        await recorder.has(2)
        await settled(bus, DEAD, dead=1)
        after = (await bus.dead_letters(DEAD.name)).letters[0]
    assert after.letter_id == before.letter_id


async def test_a_discarded_letter_is_gone_and_nobody_handles_it(bus: Bus, publishing: Publishing) -> None:
    async with dying(bus, publishing, range(3)) as recorder:
        count = await bus.settle_dead_letters(DEAD.name, lambda letter: seq(letter.events[0]) != 1, replay=False)
        await settled(bus, DEAD, dead=1)
        assert (count, recorder.seqs) == (2, [])
        await bus.settle_dead_letters(DEAD.name, all_of_them, replay=False)
        await settled(bus, DEAD)
        await until(lambda: publishing.pending == 0)  # whoever published them is not kept waiting any more
    assert recorder.seqs == []


async def test_hundreds_are_replayed_at_once_and_none_is_lost(bus: Bus, publishing: Publishing) -> None:
    async with dying(bus, publishing, range(300)) as recorder:
        assert await bus.settle_dead_letters(DEAD.name, all_of_them, replay=True) == 300
        await recorder.has(300)
        await settled(bus, DEAD)
        await until(lambda: publishing.pending == 0)
    assert sorted(recorder.seqs) == list(range(300))


async def test_a_letter_goes_to_the_subscription_it_died_in_alone(bus: Bus, publishing: Publishing) -> None:
    other = subscription("test.other")
    await bus.declare([other])
    healthy = Recorder()
    async with consuming(bus, other, healthy), dying(bus, publishing, [1, 2]) as recorder:
        await healthy.has(2)
        await bus.settle_dead_letters(DEAD.name, all_of_them, replay=True)
        await recorder.has(2)
    assert sorted(recorder.seqs) == [1, 2]
    assert sorted(healthy.seqs) == [1, 2]


async def test_what_nobody_can_read_is_a_letter_too(bus: Bus, publishing: Publishing) -> None:
    await bus.declare([DEAD])
    async with consuming(bus, DEAD, Recorder()):
        publishing.batch(Batch("test.happened.v1", b"not json", 1))
        await settled(bus, DEAD, dead=1)
        [letter] = (await bus.dead_letters(DEAD.name)).letters
    assert (letter.code, letter.events, letter.redacted(), letter.envelope) == ("event.malformed", (), [], {})


async def test_an_unknown_queue_is_said_to_be_unknown(bus: Bus) -> None:
    with pytest.raises(UnknownQueue):
        await bus.dead_letters("test.nobody")
    with pytest.raises(UnknownQueue):
        await bus.settle_dead_letters("test.nobody", all_of_them, replay=True)


async def test_what_waits_for_another_attempt_can_be_hurried(bus: Bus, publishing: Publishing) -> None:
    patient = subscription("test.patient", schedule=(600, 600))

    async def fail_first(events: Sequence[Event]) -> None:
        if len(recorder.calls) == 1:
            raise Retry("test.later")

    recorder = Recorder(fail_first)
    await bus.declare([patient])
    async with consuming(bus, patient, recorder):
        publishing.events(happened(range(3)))
        await recorder.has(3)
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await bus.hurry():  # it may not wait there yet
                await asyncio.sleep(0.05)
        await recorder.has(6)
        await settled(bus, patient)
    assert recorder.calls == [[0, 1, 2]] * 2


async def test_consumers_that_begin_anew_lose_nothing_and_handle_nothing_twice(bus: Bus, publishing: Publishing) -> None:
    busy = subscription("test.busy", concurrency=2, prefetch=8, max_events=4)
    await bus.declare([busy])
    recorder, published = Recorder(), 0
    async with consuming(bus, busy, recorder, recorder):
        for _ in range(4):
            publishing.singly(happened(range(published, published + 100)))
            published += 100
            await until(lambda: bus.restart(busy.name))  # they may still be on their way back
        await recorder.has(published)
        await settled(bus, busy)
    assert sorted(recorder.seqs) == list(range(published))


async def test_a_queue_that_nobody_consumes_is_told_apart(bus: Bus) -> None:
    await bus.declare([DEAD])
    assert not await bus.restart(DEAD.name)


def two() -> tuple[Subscription, Subscription]:
    return subscription("test.one", HappenedTwice), subscription("test.two", OtherHappened)


async def test_one_queue_is_restarted_and_not_its_neighbour(bus: Bus) -> None:
    one, _ = two()
    await bus.declare(two())
    stop = asyncio.Event()
    consumer = started(bus.consume(one, Recorder(), stop))
    await until(lambda: bus.restart(one.name))
    assert not await bus.restart("test.two")
    stop.set()
    await consumer


async def test_letters_outlast_any_number_of_looks(bus: Bus, publishing: Publishing, monkeypatch: pytest.MonkeyPatch) -> None:
    """RabbitMQ 4 drops what was given back 20 times unless told otherwise; older ones have to be told."""
    monkeypatch.setattr(routing, "DEAD_ARGUMENTS", {**routing.DEAD_ARGUMENTS, "x-delivery-limit": routing.DELIVERY_LIMIT})
    async with dying(bus, publishing, range(4)):
        for _ in range(2 * routing.DELIVERY_LIMIT):
            assert await bus.settle_dead_letters(DEAD.name, lambda _: False, replay=True) == 0
        looks = [await bus.dead_letters(DEAD.name) for _ in range(2 * routing.DELIVERY_LIMIT)]
    assert sorted(seq(letter.events[0]) for letter in looks[-1].letters) == list(range(4))


async def test_a_look_while_the_broker_takes_nothing_wears_no_letter_out(
    rabbit_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "DEAD_ARGUMENTS", {**routing.DEAD_ARGUMENTS, "x-delivery-limit": routing.DELIVERY_LIMIT})

    async def blocked(_: Publisher) -> AbstractChannel:
        raise TimeoutError

    async with open_rabbit(rabbit_url) as bus:
        publishing = Publishing(bus)
        async with dying(bus, publishing, range(4)):
            with monkeypatch.context() as alarm:
                alarm.setattr(Publisher, "_open_channel", blocked)
                for _ in range(2 * routing.DELIVERY_LIMIT):
                    with pytest.raises(Refused):
                        await bus.dead_letters(DEAD.name)
            assert len((await bus.dead_letters(DEAD.name)).letters) == 4
        await publishing.close()


async def test_all_that_was_discarded_stays_gone(bus: Bus, publishing: Publishing) -> None:
    async with dying(bus, publishing, range(600)):
        assert await bus.settle_dead_letters(DEAD.name, all_of_them, replay=False) == 600
        assert await bus.settle_dead_letters(DEAD.name, all_of_them, replay=False) == 0
        assert (await bus.stats(DEAD)).dead == 0
        await bus.declare([DEAD])
        assert (await bus.dead_letters(DEAD.name)).total == 0


async def test_a_look_tells_how_many_there_are_each_time(
    bus: Bus, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rabbit_letters, "LOOKED_AT", 100)
    monkeypatch.setattr(memory, "LOOKED_AT", 100)
    async with dying(bus, publishing, range(200)):
        looks = [await bus.dead_letters(DEAD.name) for _ in range(8)]
    assert [(look.total, len(look.letters)) for look in looks] == [(200, 100)] * 8


async def test_letters_that_are_equal_are_one_in_the_list_and_in_the_count(bus: Bus, publishing: Publishing) -> None:
    async with dying(bus, publishing, [1, 1, 2]):
        [batch, *_] = encode(happened([7]))
        publishing.batch(Batch(batch.subject, b"not json", 1))
        publishing.batch(Batch(batch.subject, b"not json", 1))
        await settled(bus, DEAD, dead=5)
        look = await bus.dead_letters(DEAD.name)
        assert (len(look.letters), look.total) == (4, 4), "two events of one number differ in their ids"
        assert await bus.settle_dead_letters(DEAD.name, lambda letter: letter.body == b"not json", replay=False) == 1
        await settled(bus, DEAD, dead=3)


async def test_what_a_letter_says_of_itself_cannot_break_the_list(rabbit_url: str) -> None:
    hostile: list[dict[str, FieldValue]] = [
        {"x-code": "a\r\nb", "x-died-at": 10**17},
        {"x-code": "c" * 5_000, "x-died-at": -(10**17)},
    ]
    async with open_rabbit(rabbit_url) as bus:
        await bus.declare([DEAD])
        async with await aio_pika.connect(rabbit_url) as connection:
            channel = await connection.channel()
            for number, headers in enumerate(hostile):
                message = aio_pika.Message(str(number).encode(), type="a\r\nb", headers=headers)
                await channel.default_exchange.publish(message, routing.dead_queue(DEAD.name))
        letters = (await bus.dead_letters(DEAD.name)).letters
    assert {(letter.code, letter.shown_subject, letter.died_at) for letter in letters} == {("delivery.limit", "", None)}
    assert len(letters) == 2
