"""The bus on RabbitMQ: where batches go in, and where they come out. Names and arguments stand in `routing`.

Two connections, because a broker short of memory or disk stops reading from those that publish, and acknowledgements must still
get through.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from shared.bus import routing
from shared.bus.consumer import Inflow, work
from shared.bus.dead_letters import DeadLetters, Wanted
from shared.bus.interface import BusError, Handler, OnSettled, QueueStats, Refused, StopSignal, Subscription, Uncertain
from shared.bus.link import SETUP_SECONDS, Link, losses_as, pause, quietly
from shared.bus.publisher import Publisher
from shared.bus.rabbit_letters import ATTEMPT_HEADER, CODE_HEADER, DIED_HEADER, RabbitLetters
from shared.events.codec import Batch

log = structlog.get_logger(__name__)

RESTART_SECONDS: Final = 10.0
"""Longest wait for handlers in hand before the queue is taken anew; what they have not settled by then comes again."""


@asynccontextmanager
async def open_rabbit(url: str) -> AsyncIterator[RabbitBus]:
    """Both connections made. Raises `Uncertain` where no broker lets us in."""
    async with AsyncExitStack() as stack:
        publishing = await stack.enter_async_context(Link.open(url, "publish"))
        consuming = await stack.enter_async_context(Link.open(url, "consume"))
        yield RabbitBus(Publisher(publishing), consuming)


class RabbitBus:
    def __init__(self, publisher: Publisher, link: Link) -> None:
        self._publisher = publisher
        self._link = link
        self._letters = RabbitLetters(link, publisher)

    @property
    def is_local(self) -> bool:
        return False

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        async with self._link.channel() as channel:
            await _declare(channel, subscriptions)

    async def publish(self, batch: Batch) -> None:
        await self._publisher.publish(batch.body, exchange=routing.EXCHANGE, key=batch.subject, subject=batch.subject)

    async def consume(
        self, subscription: Subscription, handler: Handler, stop: StopSignal, on_settled: OnSettled | None = None
    ) -> None:
        feed = _Feed(self._link, self._publisher, subscription)
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(feed.run(), name=f"{subscription.name}.feed")
                group.create_task(work(subscription, handler, feed.inflow, stop, on_settled), name=f"{subscription.name}.work")
                await stop.wait()
                feeding.cancel()
        finally:
            # Only now: acknowledgements on a closed channel would cost the connection. What nobody took in hand goes back.
            await feed.close()

    async def check(self) -> None:
        async with self._link.channel():
            pass  # it was opened: the broker answers

    async def stats(self, subscription: Subscription) -> QueueStats:
        async with self._link.channel() as channel:
            waiting = await channel.declare_queue(subscription.name, passive=True)
            dead = await channel.declare_queue(routing.dead_queue(subscription.name), passive=True)
        return QueueStats(
            waiting=waiting.declaration_result.message_count or 0, dead=dead.declaration_result.message_count or 0
        )

    async def dead_letters(self, queue: str) -> DeadLetters:
        return await self._letters.dead(queue)

    async def settle_dead_letters(self, queue: str, wanted: Wanted, *, replay: bool) -> int:
        return await self._letters.settle(queue, wanted, replay=replay)

    async def hurry(self) -> int:
        return await self._letters.hurry()

    async def restart(self, queue: str) -> bool:
        try:
            await self._publisher.publish(b"", exchange=routing.CONTROL, key=queue, subject="restart")
        except Refused:  # nobody listens
            return False
        return True


class _Feed:
    """Fills an inflow from a queue, on one channel after the other."""

    def __init__(self, link: Link, publisher: Publisher, subscription: Subscription) -> None:
        self.inflow = Inflow()
        self._link = link
        self._publisher = publisher
        self._subscription = subscription
        self._channel: AbstractChannel | None = None
        self._in_hand: set[_Delivery] = set()
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled; then the broker sends no more, and the channel stays open for what is in hand."""
        while True:
            try:
                with losses_as(Uncertain):
                    is_restart = await self._fill_until_lost()
                if is_restart:
                    log.info("bus.consumer_restarts", subscription=self._subscription.name, in_hand=len(self._in_hand))
                    await self._until_settled()
                    await self.close()
                    continue
            except BusError as error:
                log.warning("bus.consumer_failed", subscription=self._subscription.name, error=str(error))
            else:
                log.warning("bus.consumer_lost", subscription=self._subscription.name)
            await self.close()
            await pause()

    async def close(self) -> None:
        """The broker takes back what is not acknowledged."""
        channel, self._channel = self._channel, None
        self._in_hand.clear()
        if channel is not None:
            await quietly(channel.close())

    async def _until_settled(self) -> None:
        """Also those that wait here for a handler: they were on their way already."""
        try:
            async with asyncio.timeout(RESTART_SECONDS):
                while self._in_hand:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            log.warning("bus.consumer_hangs", subscription=self._subscription.name, in_hand=len(self._in_hand))

    async def _fill_until_lost(self) -> bool:
        """Returns True where it was told to take the queue anew, False where it lost it."""
        connection = await self._link.connection()
        lost, told = asyncio.Event(), asyncio.Event()

        async def hear(_: AbstractIncomingMessage) -> None:
            told.set()
            lost.set()

        async with asyncio.timeout(SETUP_SECONDS):
            channel = self._channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._subscription.prefetch)
            await _declare(channel, [self._subscription])  # the broker may have come back without its data
            underlay = await channel.get_underlay_channel()
            underlay.closing.add_done_callback(lambda _: lost.set())
            underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())  # the queue was deleted, or its node went
            queue = await channel.get_queue(self._subscription.name, ensure=False)
            # Of this consumer alone; it goes with it.
            control = await channel.declare_queue(exclusive=True, auto_delete=True, arguments={"x-queue-type": "classic"})
            await control.bind(routing.CONTROL, self._subscription.name)
            await control.consume(hear, no_ack=True)
            tag = await queue.consume(self._take)  # last: a call that is cancelled closes the channel, with all that is in hand
        try:
            await lost.wait()
        finally:
            await quietly(queue.cancel(tag))
        return told.is_set()

    async def _take(self, message: AbstractIncomingMessage) -> None:
        delivery = _Delivery(message, self._subscription.name, self._publisher, self._is_settled)
        self._in_hand.add(delivery)
        self.inflow.put(delivery)

    def _is_settled(self, delivery: _Delivery) -> None:
        self._in_hand.discard(delivery)
        self._settled.set()


@dataclass(slots=True, eq=False)
class _Delivery:
    """See `consumer.Delivery`."""

    message: AbstractIncomingMessage
    subscription: str
    publisher: Publisher
    on_settled: Callable[[_Delivery], None]

    @property
    def subject(self) -> str:
        return self.message.type or self.message.routing_key or ""  # the key of what came back is the queue's name

    @property
    def body(self) -> bytes:
        return self.message.body

    @property
    def attempt(self) -> int:
        attempt = self.message.headers.get(ATTEMPT_HEADER)
        return attempt if isinstance(attempt, int) else 1

    @property
    def is_lost(self) -> bool:
        try:
            return self.message.channel.is_closed
        except ChannelInvalidStateError:  # aio-pika hands out no closed channel
            return True

    async def ack(self) -> None:
        try:
            with losses_as(Uncertain):
                await self.message.ack()
        except Uncertain:
            log.info("bus.ack_lost", subscription=self.subscription)  # it comes again
        self.on_settled(self)

    async def send_back(self, body: bytes, *, attempt: int, wait_seconds: int) -> None:
        exchange = routing.retry_name(wait_seconds)
        headers = {ATTEMPT_HEADER: attempt}
        await self.publisher.publish(body, exchange=exchange, key=self.subscription, subject=self.subject, headers=headers)

    async def bury(self, body: bytes, code: str) -> None:
        key = routing.dead_queue(self.subscription)
        headers: dict[str, str | int] = {
            ATTEMPT_HEADER: self.attempt,
            CODE_HEADER: code,
            DIED_HEADER: time.time_ns() // 1_000_000,
        }
        await self.publisher.publish(body, exchange="", key=key, subject=self.subject, headers=headers)

    def give_back(self) -> None:
        """The closing of the channel does it, and that follows at once."""


async def _declare(channel: AbstractChannel, subscriptions: Sequence[Subscription]) -> None:
    events = await channel.declare_exchange(routing.EXCHANGE, ExchangeType.TOPIC, durable=True)
    await channel.declare_exchange(routing.CONTROL, ExchangeType.DIRECT, durable=True)
    lost = await channel.declare_exchange(routing.LOST, ExchangeType.FANOUT, durable=True)
    lost_queue = await channel.declare_queue(routing.LOST, durable=True, arguments=dict(routing.LOST_ARGUMENTS))
    await lost_queue.bind(lost)
    returning = await channel.declare_exchange(
        routing.RETURN, ExchangeType.DIRECT, durable=True, arguments={"alternate-exchange": routing.LOST}
    )
    for seconds in routing.RETRY_LADDER_SECONDS:
        name = routing.retry_name(seconds)
        retry = await channel.declare_exchange(name, ExchangeType.FANOUT, durable=True)
        retry_queue = await channel.declare_queue(name, durable=True, arguments=dict(routing.retry_arguments(seconds)))
        await retry_queue.bind(retry)
    for subscription in subscriptions:
        name = subscription.name
        await channel.declare_queue(routing.dead_queue(name), durable=True, arguments=dict(routing.DEAD_ARGUMENTS))
        queue = await channel.declare_queue(name, durable=True, arguments=dict(routing.queue_arguments(name)))
        await queue.bind(returning, name)
        for subject in subscription.subjects:
            await queue.bind(events, subject)
