"""A broker of these tests' own is restarted, killed, short of memory: what it confirmed is not lost, and work goes on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack

import pytest

from local.rabbitmq import RabbitMQ, available
from shared.bus import publisher
from shared.bus.connect import open_bus
from shared.bus.interface import Bus, BusError
from shared.config import BusSettings
from shared.events.codec import encode
from tests.contract.bus.events import happened
from tests.contract.bus.harness import Publishing, Recorder, consuming, subscription, until


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    if (reason := available()) is not None:
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def bus(broker: RabbitMQ, request: pytest.FixtureRequest) -> AsyncIterator[Bus]:
    broker.start()
    vhost = f"v{abs(hash(request.node.name))}"
    async with AsyncExitStack() as stack:
        yield await open_bus(BusSettings(url=broker.create_vhost(vhost)), stack)


@pytest.mark.parametrize("end", [RabbitMQ.stop, RabbitMQ.kill], ids=["stopped", "killed"])
async def test_nothing_confirmed_is_lost_when_the_broker_restarts_under_load(broker: RabbitMQ, bus: Bus, end: object) -> None:
    loaded = subscription(concurrency=2)
    await bus.declare([loaded])
    # RabbitMQ 3.10 writes the list of its quorum queues half a second late; one killed before has a queue without a leader.
    broker.evaluate("[dets:sync(Table) || Table <- dets:all()]")
    recorder, confirmed, stop = Recorder(), list[int](), asyncio.Event()

    async def publish(first: int) -> None:
        number = first
        while not stop.is_set():
            try:
                await bus.publish(encode(happened([number]))[0])
            except BusError:
                await asyncio.sleep(0.01)
            else:
                confirmed.append(number)
            number += 10

    async with consuming(bus, loaded, recorder), asyncio.TaskGroup() as group:
        for first in range(10):
            group.create_task(publish(first))
        await until(lambda: len(confirmed) > 500)
        await asyncio.to_thread(end, broker)  # type: ignore[arg-type]
        await asyncio.to_thread(broker.start)
        before = len(confirmed)
        await until(lambda: len(confirmed) > before + 500)
        stop.set()
        await until(lambda: set(confirmed) <= set(recorder.seqs))


async def test_while_memory_is_short_publishing_fails_and_consuming_goes_on(
    broker: RabbitMQ, bus: Bus, publishing: Publishing, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = subscription(max_events=1, prefetch=1)
    await bus.declare([blocked])
    publishing.singly(happened(range(50)))
    await publishing.handed_over()
    monkeypatch.setattr(publisher, "PUBLISH_SECONDS", 1.0)
    recorder = Recorder()
    broker.raise_alarm(on=True)
    try:
        for number in (50, 51):
            with pytest.raises(BusError):
                await bus.publish(encode(happened([number]))[0])
        async with consuming(bus, blocked, recorder):
            await recorder.has(50)
    finally:
        broker.raise_alarm(on=False)

    async def published() -> bool:
        try:
            await bus.publish(encode(happened([52]))[0])
        except BusError:
            return False
        return True

    await until(published)
    async with consuming(bus, blocked, recorder):
        await until(lambda: 52 in recorder.seqs)
    assert recorder.seqs[:50] == list(range(50))
