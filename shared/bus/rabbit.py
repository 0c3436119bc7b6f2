"""The bus on RabbitMQ: where batches go in, and where they come out. Names and arguments stand in `routing`.

Two connections, because a broker short of memory or disk stops reading from those that publish, and acknowledgements must still
get through.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Final

import structlog
from aio_pika import ExchangeType
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelInvalidStateError

from shared.bus import routing
from shared.bus.consumer import Inflow, work
from shared.bus.interface import BusError, Handler, QueueStats, StopSignal, Subscription, Uncertain
from shared.bus.link import SETUP_SECONDS, Link, losses_as, pause, quietly
from shared.bus.publisher import Publisher
from shared.events.codec import Batch

log = structlog.get_logger(__name__)

ATTEMPT_HEADER: Final = "x-attempt"
CODE_HEADER: Final = "x-code"


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

    @property
    def is_local(self) -> bool:
        return False

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        async with self._link.channel() as channel:
            await _declare(channel, subscriptions)

    async def publish(self, batch: Batch) -> None:
        await self._publisher.publish(batch.body, exchange=routing.EXCHANGE, key=batch.subject, subject=batch.subject)

    async def consume(self, subscription: Subscription, handler: Handler, stop: StopSignal) -> None:
        feed = _Feed(self._link, self._publisher, subscription)
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(feed.run(), name=f"{subscription.name}.feed")
                group.create_task(work(subscription, handler, feed.inflow, stop), name=f"{subscription.name}.work")
                await stop.wait()
                feeding.cancel()
        finally:
            # Only now: acknowledgements on a closed channel would cost the connection. What nobody took in hand goes back.
            await feed.close()

    async def stats(self, subscription: Subscription) -> QueueStats:
        async with self._link.channel() as channel:
            waiting = await channel.declare_queue(subscription.name, passive=True)
            dead = await channel.declare_queue(routing.dead_queue(subscription.name), passive=True)
        return QueueStats(
            waiting=waiting.declaration_result.message_count or 0, dead=dead.declaration_result.message_count or 0
        )


class _Feed:
    """Fills an inflow from a queue, on one channel after the other."""

    def __init__(self, link: Link, publisher: Publisher, subscription: Subscription) -> None:
        self.inflow = Inflow()
        self._link = link
        self._publisher = publisher
        self._subscription = subscription
        self._channel: AbstractChannel | None = None

    async def run(self) -> None:
        """Until cancelled; then the broker sends no more, and the channel stays open for what is in hand."""
        while True:
            try:
                with losses_as(Uncertain):
                    await self._fill_until_lost()
            except BusError as error:
                log.warning("bus.consumer_failed", subscription=self._subscription.name, error=str(error))
            else:
                log.warning("bus.consumer_lost", subscription=self._subscription.name)
            await self.close()
            await pause()

    async def close(self) -> None:
        """The broker takes back what is not acknowledged."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await quietly(channel.close())

    async def _fill_until_lost(self) -> None:
        connection = await self._link.connection()
        lost = asyncio.Event()
        async with asyncio.timeout(SETUP_SECONDS):
            channel = self._channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._subscription.prefetch)
            await _declare(channel, [self._subscription])  # the broker may have come back without its data
            underlay = await channel.get_underlay_channel()
            underlay.closing.add_done_callback(lambda _: lost.set())
            underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())  # the queue was deleted, or its node went
            queue = await channel.get_queue(self._subscription.name, ensure=False)
            tag = await queue.consume(self._take)
        try:
            await lost.wait()
        finally:
            await quietly(queue.cancel(tag))

    async def _take(self, message: AbstractIncomingMessage) -> None:
        self.inflow.put(_Delivery(message, self._subscription.name, self._publisher))


@dataclass(slots=True, eq=False)
class _Delivery:
    """See `consumer.Delivery`."""

    message: AbstractIncomingMessage
    subscription: str
    publisher: Publisher

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

    async def send_back(self, body: bytes, *, attempt: int, wait_seconds: int) -> None:
        exchange = routing.retry_name(wait_seconds)
        headers = {ATTEMPT_HEADER: attempt}
        await self.publisher.publish(body, exchange=exchange, key=self.subscription, subject=self.subject, headers=headers)

    async def bury(self, body: bytes, code: str) -> None:
        key = routing.dead_queue(self.subscription)
        headers: dict[str, str | int] = {ATTEMPT_HEADER: self.attempt, CODE_HEADER: code}
        await self.publisher.publish(body, exchange="", key=key, subject=self.subject, headers=headers)

    def give_back(self) -> None:
        """The closing of the channel does it, and that follows at once."""


async def _declare(channel: AbstractChannel, subscriptions: Sequence[Subscription]) -> None:
    events = await channel.declare_exchange(routing.EXCHANGE, ExchangeType.TOPIC, durable=True)
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
