"""The broker goes while publishes are on their way, which aiormq tells in words of its own: the outbox understands each answer.

On both loops: services run on uvloop, other tests on asyncio's.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any, Final

import pytest
import uvloop
from pamqp import commands
from pamqp.body import ContentBody

from shared.bus import link
from shared.bus.interface import BusError, Refused
from shared.bus.link import Link
from shared.bus.publisher import Publisher
from tests.contract.bus.harness import until
from tests.support.fake_broker import FakeBroker, Peer, React

AT_ONCE: Final = 45
CONFIRMED: Final = 40

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's body, which leaves no task, on one loop or the other."""

    async def run_to_the_end(body: Coroutine[Any, Any, None]) -> None:
        await body
        await until(lambda: len(asyncio.all_tasks()) == 1)

    def run(body: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.SelectorEventLoop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(run_to_the_end(body))

    return run


async def publish(publisher: Publisher) -> None:
    await publisher.publish(b"[]", exchange="events", key="happened", subject="happened")


async def publish_at_once(count: int, react: React) -> list[BaseException | None]:
    """What so many publishes raised."""
    async with FakeBroker.serving(react) as broker, Link.open(broker.url, "publish") as link:
        publisher = Publisher(link)
        return await asyncio.gather(*(publish(publisher) for _ in range(count)), return_exceptions=True)


def test_a_broker_that_ends_right_after_some_confirms_leaves_the_rest_uncertain(run: Run) -> None:
    def confirm_some_and_end(peer: Peer, frame: object, channel: int) -> bool:
        if isinstance(frame, ContentBody) and peer.bodies == AT_ONCE:
            # With more than the client's channel takes at once, so that its end is seen when the last of them is read.
            peer.say(*(commands.Basic.Ack(number) for number in range(1, CONFIRMED + 1)), channel=channel)
            peer.end()
        return isinstance(frame, ContentBody)

    async def body() -> None:
        answers = await publish_at_once(AT_ONCE, confirm_some_and_end)
        assert [answer for answer in answers if not (answer is None or isinstance(answer, BusError))] == []
        assert sum(isinstance(answer, BusError) for answer in answers) >= AT_ONCE - CONFIRMED

    run(body())


def test_who_waited_for_a_channel_of_a_connection_that_went_gets_one_of_the_next(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "RECONNECT_SECONDS", (0.0, 0.0))

    def cut_the_first(peer: Peer, frame: object, channel: int) -> bool:
        if peer.number > 1 or not isinstance(frame, commands.Channel.Open):
            return False
        peer.cut()
        return True

    async def body() -> None:
        first, *others = await publish_at_once(3, cut_the_first)
        assert isinstance(first, Refused)
        assert others == [None, None]

    run(body())


def test_a_publish_leaves_nothing_behind_on_its_connection(run: Run) -> None:
    def futures() -> int:
        gc.collect()
        return sum(isinstance(thing, asyncio.Future) for thing in gc.get_objects())

    async def body() -> None:
        async with FakeBroker.serving() as broker, Link.open(broker.url, "publish") as link:
            publisher = Publisher(link)
            await publish(publisher)
            before = futures()
            for _ in range(AT_ONCE):
                await publish(publisher)
            assert futures() - before < AT_ONCE

    run(body())
