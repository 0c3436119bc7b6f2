"""What the bus in memory promises beyond the common suite: custody that lasts until all is settled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from shared.bus.interface import Refused, Uncertain
from shared.bus.memory import MemoryBus
from shared.errors import BatchFailed, Permanent
from shared.events.codec import encode
from shared.events.event import Event
from tests.contract.bus.events import happened
from tests.contract.bus.harness import Recorder, consuming, settled, started, subscription


async def test_a_publish_lasts_until_every_subscription_has_settled_it() -> None:
    fast, slow = subscription("test.fast"), subscription("test.slow")
    gate = asyncio.Event()

    async def pass_gate(events: Sequence[Event]) -> None:
        await gate.wait()

    quick, careful = Recorder(), Recorder(pass_gate)
    async with MemoryBus() as bus:
        await bus.declare([fast, slow])
        async with consuming(bus, fast, quick), consuming(bus, slow, careful):
            publish = started(bus.publish(encode(happened([1]))[0]))
            await quick.has(1)
            await careful.has(1)
            assert not publish.done()
            gate.set()
            await publish


async def test_dead_events_keep_their_publisher_until_the_bus_closes() -> None:
    some = subscription()

    async def kill_one(events: Sequence[Event]) -> None:
        raise BatchFailed({events[0].event_id: Permanent("test.never")})

    async with MemoryBus() as bus:
        await bus.declare([some])
        async with consuming(bus, some, kill_one):
            publish = started(bus.publish(encode(happened([1, 2]))[0]))
            await settled(bus, some, dead=1)
        assert not publish.done()
    with pytest.raises(Uncertain):
        await publish


async def test_publishers_wait_while_too_much_is_unsettled_and_the_dead_do_not_count() -> None:
    some, recorder = subscription(max_events=1), Recorder()

    async def kill_first(events: Sequence[Event]) -> None:
        if len(recorder.calls) == 1:
            raise Permanent("test.never")

    recorder = Recorder(kill_first)
    async with MemoryBus(max_unsettled=1) as bus:
        await bus.declare([some])
        publishes = [started(bus.publish(encode(happened([number]))[0])) for number in range(3)]
        for _ in range(10):
            await asyncio.sleep(0)
        assert (await bus.stats(some)).waiting == 1
        async with consuming(bus, some, recorder):
            await asyncio.gather(*publishes[1:])
        assert recorder.seqs == [0, 1, 2]
        assert not publishes[0].done()
    with pytest.raises(Uncertain):
        await publishes[0]


async def test_closed_it_takes_nothing() -> None:
    some = subscription()
    async with MemoryBus() as bus:
        await bus.declare([some])
    with pytest.raises(Refused):
        await bus.publish(encode(happened([1]))[0])


async def test_a_publisher_that_gives_up_takes_nothing_back() -> None:
    some, recorder = subscription(), Recorder()
    async with MemoryBus() as bus:
        await bus.declare([some])
        publish = started(bus.publish(encode(happened([1]))[0]))
        await asyncio.sleep(0)
        publish.cancel()
        async with consuming(bus, some, recorder):
            await recorder.has(1)
