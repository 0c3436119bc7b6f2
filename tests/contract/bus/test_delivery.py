"""What is published arrives: who gets it, how often, in which order, in what portions."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.bus.interface import Bus, Refused
from shared.events.codec import Batch, encode
from shared.events.event import Event
from tests.contract.bus.events import TENANT, Happened, HappenedTwice, HappenedV2, OtherHappened, happened
from tests.contract.bus.harness import Publishing, Recorder, consuming, settled, subscription, until

ALL: tuple[type[Event], ...] = (Happened, HappenedV2, HappenedTwice, OtherHappened)


@pytest.mark.parametrize(
    "wanted",
    [(Happened,), (HappenedV2,), (HappenedTwice,), (OtherHappened,), (Happened, OtherHappened), ALL],
    ids=lambda wanted: "+".join(event.subject() for event in wanted),
)
async def test_a_subscription_gets_exactly_the_subjects_it_names(
    bus: Bus, publishing: Publishing, wanted: tuple[type[Event], ...]
) -> None:
    chosen, everything = subscription("test.chosen", *wanted), subscription("test.everything", *ALL)
    await bus.declare([chosen, everything])
    some, every = Recorder(), Recorder()
    async with consuming(bus, chosen, some), consuming(bus, everything, every):
        for event in ALL:
            publishing.events([event(tenant_id=TENANT, seq=1)])  # type: ignore[call-arg]
        await every.has(len(ALL))
        await some.has(len(wanted))
    assert sorted(some.subjects) == sorted(event.subject() for event in wanted)
    assert sorted(every.subjects) == sorted(event.subject() for event in ALL)


async def test_a_bus_that_is_there_says_so(bus: Bus) -> None:
    await bus.check()


async def test_every_subscription_of_a_subject_gets_each_event(bus: Bus, publishing: Publishing) -> None:
    first, second = subscription("test.first"), subscription("test.second")
    await bus.declare([first, second])
    one, other = Recorder(), Recorder()
    async with consuming(bus, first, one), consuming(bus, second, other):
        publishing.events(happened(range(10)))
        await one.has(10)
        await other.has(10)
    assert one.seqs == other.seqs == list(range(10))


async def test_consumers_of_one_subscription_share_its_events(bus: Bus, publishing: Publishing) -> None:
    shared = subscription(prefetch=1, max_events=1)
    await bus.declare([shared])
    both = asyncio.Barrier(2)

    async def meet(events: Sequence[Event]) -> None:
        await both.wait()

    one, other = Recorder(meet), Recorder(meet)
    async with consuming(bus, shared, one, other):
        publishing.singly(happened(range(20)))
        await until(lambda: len(one.seqs) == len(other.seqs) == 10)
    assert sorted(one.seqs + other.seqs) == list(range(20))


async def test_order_holds_with_one_handler_at_a_time(bus: Bus, publishing: Publishing) -> None:
    ordered = subscription()
    await bus.declare([ordered])
    recorder = Recorder()
    for start in range(0, 700, 7):
        publishing.events(happened(range(start, start + 7)))
    async with consuming(bus, ordered, recorder):
        await recorder.has(700)
    assert recorder.seqs == list(range(700))


async def test_what_waits_is_handled_in_one_call(bus: Bus, publishing: Publishing) -> None:
    coalesced = subscription(max_events=10)
    await bus.declare([coalesced])
    gate = asyncio.Event()

    async def pass_gate(events: Sequence[Event]) -> None:
        await gate.wait()

    recorder = Recorder(pass_gate)
    async with consuming(bus, coalesced, recorder):
        publishing.singly(happened([0]))
        await recorder.has(1)
        publishing.singly(happened(range(1, 25)))
        publishing.events(happened(range(25, 35)))
        await publishing.handed_over()
        await until(lambda: bus.is_local or publishing.pending == 0)
        gate.set()
        await recorder.has(35)
    assert recorder.seqs == list(range(35))
    assert max(len(call) for call in recorder.calls) == 10


async def test_a_batch_larger_than_a_call_is_handled_whole(bus: Bus, publishing: Publishing) -> None:
    small = subscription(max_events=3)
    await bus.declare([small])
    recorder = Recorder()
    async with consuming(bus, small, recorder):
        publishing.events(happened(range(8)))
        await recorder.has(8)
    assert recorder.calls == [list(range(8))]


async def test_handlers_run_at_once_up_to_the_concurrency(bus: Bus, publishing: Publishing) -> None:
    parallel = subscription(concurrency=3, max_events=1)
    await bus.declare([parallel])
    three = asyncio.Barrier(3)

    async def meet(events: Sequence[Event]) -> None:
        await three.wait()

    recorder = Recorder(meet)
    async with consuming(bus, parallel, recorder):
        publishing.singly(happened(range(9)))
        await settled(bus, parallel)
        await until(lambda: three.n_waiting == 0 and len(recorder.calls) == 9)
    assert sorted(recorder.seqs) == list(range(9))


async def test_nobody_subscribed_is_an_error(bus: Bus) -> None:
    [batch] = encode(happened([1]))
    await bus.declare([subscription("test.elsewhere", OtherHappened)])
    with pytest.raises(Refused):
        await bus.publish(batch)


async def test_declaring_twice_changes_nothing(bus: Bus, publishing: Publishing) -> None:
    once = subscription()
    await bus.declare([once])
    await bus.declare([once, once])
    recorder = Recorder()
    async with consuming(bus, once, recorder):
        publishing.events(happened([1]))
        await recorder.has(1)
        publishing.events(happened([2]))
        await recorder.has(2)
    assert recorder.seqs == [1, 2]


async def test_ten_thousand_events(bus: Bus, publishing: Publishing) -> None:
    busy = subscription(concurrency=4, max_events=512)
    await bus.declare([busy])
    recorder = Recorder()
    async with consuming(bus, busy, recorder):
        publishing.events(happened(range(9_000)))
        publishing.singly(happened(range(9_000, 10_000)))
        await recorder.has(10_000)
        await until(lambda: publishing.pending == 0)
    assert sorted(recorder.seqs) == list(range(10_000))
    await settled(bus, busy)


async def test_stopping_lets_handlers_in_hand_end_and_loses_nothing(bus: Bus, publishing: Publishing) -> None:
    drained = subscription(concurrency=2, max_events=1, prefetch=8)
    await bus.declare([drained])
    gate, stop = asyncio.Event(), asyncio.Event()
    ended: list[int] = []

    async def work(events: Sequence[Event]) -> None:
        await gate.wait()
        ended.append(1)

    before, after = Recorder(work), Recorder()
    publishing.singly(happened(range(20)))
    async with asyncio.TaskGroup() as group:
        consumer = group.create_task(bus.consume(drained, before, stop))
        await before.has(2)
        stop.set()
        for _ in range(10):
            await asyncio.sleep(0)
        assert not consumer.done()
        gate.set()
    assert len(before.calls) == len(ended) == 2
    async with consuming(bus, drained, after):
        await after.has(18)
    assert sorted(before.seqs + after.seqs) == list(range(20))


async def test_unreadable_bytes_are_dead_and_their_neighbours_are_not(bus: Bus, publishing: Publishing) -> None:
    torn = subscription()
    await bus.declare([torn])
    recorder = Recorder()
    subject = Happened.subject()
    publishing.events(happened([1]))
    for body in (b"", b"\xff\x00", b"{}", b'[{"seq": 1}]', b"[" * 100_000):
        publishing.batch(Batch(subject, body, 1))
    publishing.events(happened([2]))
    await publishing.handed_over()
    async with consuming(bus, torn, recorder):
        await recorder.has(2)
        await settled(bus, torn, dead=5)
    assert recorder.seqs == [1, 2]
