"""What only RabbitMQ has: patterns, a broker that ends or falls silent, alarms, queues deleted under a consumer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel

from shared.bus import link, publisher, routing
from shared.bus.connect import open_bus
from shared.bus.interface import Bus, Refused, Uncertain
from shared.config import BusSettings
from shared.errors import Retry
from shared.events.codec import encode
from shared.events.event import Event
from tests.contract.bus.events import OtherHappened, happened
from tests.contract.bus.harness import Publishing, Recorder, consuming, settled, started, subscription, until
from tests.support.proxy import Proxy


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Bus]:
    async with AsyncExitStack() as stack:
        yield await open_bus(BusSettings(url=url), stack)


@pytest.fixture
async def bus(rabbit_url: str) -> AsyncIterator[Bus]:
    async with opened(rabbit_url) as bus:
        yield bus


@pytest.fixture
async def channel(rabbit_url: str) -> AsyncIterator[AbstractChannel]:
    """An operator's."""
    async with await aio_pika.connect(rabbit_url) as connection:
        yield await connection.channel()


async def test_the_exchange_routes_patterns_for_who_listens_in(
    bus: Bus, publishing: Publishing, channel: AbstractChannel
) -> None:
    patterns = {
        "#": True,
        "test.happened.v1": True,
        "test.happened.*": True,
        "*.happened.v1": True,
        "test.#": True,
        "#.v1": True,
        "test.#.happened.v1": True,
        "*": False,
        "test.*": False,
        "test.happened": False,
        "test.happened.v1.*": False,
        "Test.Happened.V1": False,
        "": False,
    }
    subscribed = subscription()
    await bus.declare([subscribed])
    taps = {pattern: await channel.declare_queue(exclusive=True) for pattern in patterns}
    for pattern, tap in taps.items():
        await tap.bind(routing.EXCHANGE, pattern)
    publishing.events(happened([1]))
    await publishing.handed_over()
    heard = {pattern: await tap.get(no_ack=True, fail=False) is not None for pattern, tap in taps.items()}
    assert heard == patterns


async def test_what_waits_for_a_subscription_that_is_gone_is_kept_and_holds_up_nobody(
    bus: Bus, publishing: Publishing, channel: AbstractChannel
) -> None:
    staying, going = subscription("test.staying", schedule=(1,)), subscription("test.going", OtherHappened, schedule=(1,))
    await bus.declare([staying, going])

    async def fail(events: Sequence[Event]) -> None:
        raise Retry("test.later")

    leaving, recorder = Recorder(fail), Recorder(fail)
    async with consuming(bus, going, leaving):
        publishing.singly([OtherHappened(tenant_id=event.tenant_id, seq=0) for event in happened(range(50))])
        await leaving.has(50)
    await channel.queue_delete(going.name)
    async with consuming(bus, staying, recorder):
        publishing.events(happened([1]))
        await recorder.has(2)

    async def kept() -> bool:
        return (await channel.declare_queue(routing.LOST, passive=True)).declaration_result.message_count == 50

    await until(kept)


async def test_an_event_that_kills_its_consumers_is_dead_in_the_end(
    bus: Bus, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "DELIVERY_LIMIT", 3)
    deadly = subscription(schedule=(1,))
    await bus.declare([deadly])
    publishing.events(happened([1]))
    never, stop = asyncio.Event(), asyncio.Event()

    async def hang(events: Sequence[Event]) -> None:
        await never.wait()

    hanging = Recorder(hang)
    for killed in range(1, 5):
        consumer = started(bus.consume(deadly, hanging, stop))
        await hanging.has(killed)
        consumer.cancel()
        await asyncio.wait([consumer])
    await settled(bus, deadly, dead=1)


async def test_a_consumer_whose_queue_is_deleted_comes_back(bus: Bus, channel: AbstractChannel) -> None:
    deleted = subscription()
    await bus.declare([deleted])
    recorder = Recorder()
    async with consuming(bus, deleted, recorder):
        await bus.publish(encode(happened([1]))[0])
        await recorder.has(1)
        await channel.queue_delete(deleted.name)

        async def published() -> bool:
            try:
                await bus.publish(encode(happened([2]))[0])
            except Refused:
                return False
            return True

        await until(published)
        await recorder.has(2)


async def test_a_broker_that_lets_nobody_in_is_named(rabbit_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "FIRST_CONNECT_SECONDS", 1.0)
    with pytest.raises(Uncertain, match=r"no broker at 127\.0\.0\.1"):
        async with opened(rabbit_url.replace("guest:guest", "guest:wrong")):
            pass


async def test_a_connection_that_falls_silent_is_found_dead(rabbit_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 30.0)
    recorder, heard = Recorder(), subscription()
    async with Proxy.to(rabbit_url) as proxy, opened(f"{proxy.url}?heartbeat=1") as bus:
        await bus.declare([heard])
        async with consuming(bus, heard, recorder):
            await bus.publish(encode(happened([1]))[0])
            await recorder.has(1)
            proxy.silent = True
            with pytest.raises(Uncertain):
                await bus.publish(encode(happened([2]))[0])
            proxy.silent = False
            await bus.publish(encode(happened([3]))[0])
            await until(lambda: 3 in recorder.seqs)


async def test_cancelling_a_publish_is_not_taken_for_a_lost_connection(bus: Bus) -> None:
    heard = subscription()
    await bus.declare([heard])
    publish = started(bus.publish(encode(happened([1]))[0]))
    await asyncio.sleep(0)
    publish.cancel()
    with pytest.raises(asyncio.CancelledError):
        await publish
    await bus.publish(encode(happened([2]))[0])
