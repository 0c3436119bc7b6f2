"""What a handler raises, and what then becomes of its events."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.bus.interface import Bus
from shared.errors import BatchFailed, Permanent, Retry
from shared.events.event import Event
from shared.ids import EventId
from tests.contract.bus.events import happened, seq
from tests.contract.bus.harness import Publishing, Recorder, consuming, settled, started, subscription, until


async def test_retries_are_counted_and_the_last_attempt_is_dead(bus: Bus, publishing: Publishing) -> None:
    tried = subscription(schedule=(0.5, 1))
    await bus.declare([tried])

    async def fail(events: Sequence[Event]) -> None:
        raise Retry("test.later")

    recorder = Recorder(fail)
    async with consuming(bus, tried, recorder):
        publishing.events(happened([1]))
        await settled(bus, tried, dead=1)
    assert recorder.seqs == [1, 1, 1]


async def test_retry_speaks_for_the_whole_call(bus: Bus, publishing: Publishing) -> None:
    whole = subscription(schedule=(1,))
    await bus.declare([whole])

    async def fail_first(events: Sequence[Event]) -> None:
        if len(recorder.calls) == 1:
            raise Retry("test.later")

    recorder = Recorder(fail_first)
    async with consuming(bus, whole, recorder):
        publishing.events(happened(range(5)))
        await recorder.has(10)
        await settled(bus, whole)
    assert recorder.calls == [list(range(5))] * 2


async def test_permanent_speaks_for_the_whole_call(bus: Bus, publishing: Publishing) -> None:
    whole = subscription(schedule=(1,))
    await bus.declare([whole])

    async def fail(events: Sequence[Event]) -> None:
        raise Permanent("test.never")

    recorder = Recorder(fail)
    async with consuming(bus, whole, recorder):
        publishing.events(happened(range(3)))
        await settled(bus, whole, dead=3)
    assert recorder.calls == [[0, 1, 2]]


async def test_of_a_batch_only_what_failed_comes_back(bus: Bus, publishing: Publishing) -> None:
    partial = subscription(schedule=(1, 1))
    await bus.declare([partial])

    async def fail_some(events: Sequence[Event]) -> None:
        failures: dict[EventId, Retry | Permanent] = {}
        for event in events:
            match seq(event):
                case 2 | 5 if recorder.seqs.count(seq(event)) == 1:
                    failures[event.event_id] = Retry("test.later")
                case 3:
                    failures[event.event_id] = Permanent("test.never")
                case 7:
                    failures[event.event_id] = Retry("test.later")
        if failures:
            raise BatchFailed(failures)

    recorder = Recorder(fail_some)
    async with consuming(bus, partial, recorder):
        publishing.events(happened(range(10)))
        await settled(bus, partial, dead=2)
    counts = {number: recorder.seqs.count(number) for number in range(10)}
    assert counts == {0: 1, 1: 1, 2: 2, 3: 1, 4: 1, 5: 2, 6: 1, 7: 3, 8: 1, 9: 1}


async def test_a_poison_event_does_not_harm_those_beside_it(bus: Bus, publishing: Publishing) -> None:
    poisoned = subscription(schedule=(1,))
    await bus.declare([poisoned])
    done: list[int] = []

    async def choke(events: Sequence[Event]) -> None:
        if any(seq(event) == 4 for event in events):
            raise ValueError("a bug")
        done.extend(seq(event) for event in events)

    async with consuming(bus, poisoned, choke):
        publishing.events(happened(range(8)))
        await settled(bus, poisoned, dead=1)
        await until(lambda: len(done) == 7)
    assert done == [0, 1, 2, 3, 5, 6, 7]


async def test_a_dependency_that_is_away_costs_no_attempt(bus: Bus, publishing: Publishing) -> None:
    once = subscription(schedule=())
    await bus.declare([once])

    async def fail_twice(events: Sequence[Event]) -> None:
        if len(recorder.calls) == 1:
            raise ConnectionResetError
        if len(recorder.calls) == 2:
            raise Retry("test.away", counted=False)

    recorder = Recorder(fail_twice)
    async with consuming(bus, once, recorder):
        publishing.events(happened(range(3)))
        await recorder.has(9)
        await settled(bus, once)
    assert recorder.calls == [[0, 1, 2]] * 3


async def test_what_is_cancelled_in_mid_handler_comes_back_uncounted(bus: Bus, publishing: Publishing) -> None:
    once = subscription(schedule=(), prefetch=4)
    await bus.declare([once])
    publishing.singly(happened(range(3)))
    never, stop = asyncio.Event(), asyncio.Event()

    async def hang(events: Sequence[Event]) -> None:
        await never.wait()

    for _ in range(3):
        hanging = Recorder(hang)
        consumer = started(bus.consume(once, hanging, stop))
        await hanging.has(1)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
    recorder = Recorder()
    async with consuming(bus, once, recorder):
        await recorder.has(3)
        await settled(bus, once)
    assert recorder.seqs == [0, 1, 2]


async def test_one_failing_subscription_does_not_concern_another(bus: Bus, publishing: Publishing) -> None:
    good, bad = subscription("test.good"), subscription("test.bad", schedule=(1,))
    await bus.declare([good, bad])

    async def fail(events: Sequence[Event]) -> None:
        raise Retry("test.later")

    fine, failing = Recorder(), Recorder(fail)
    async with consuming(bus, good, fine), consuming(bus, bad, failing):
        publishing.events(happened([1]))
        await settled(bus, bad, dead=1)
    assert fine.seqs == [1]
    assert failing.seqs == [1, 1]
