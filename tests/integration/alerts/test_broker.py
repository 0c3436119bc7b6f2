"""RabbitMQ away, full, or with what nobody can read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import aio_pika
import pytest

from services.topology import SUBSCRIPTIONS
from shared.bus.routing import EXCHANGE
from tests.integration.alerts.watching import Watch, assert_fires, assert_quiet, held, run_sql, total
from tests.support.proxy import Proxy

pytestmark = pytest.mark.timeout(400)

TOO_MANY = 11_000


async def test_events_wait_in_the_outbox_while_the_broker_is_away_and_leave_when_it_is_back(
    watch_on_broker: Watch, broker: Proxy
) -> None:
    watch = watch_on_broker
    before = await watch.scrape()
    broker.silent = True
    for _ in range(3):
        await watch.api.send(to="+15551234567")
    await watch.until(
        lambda now: (
            total(now, "chasqui_bus_publish_failures_total", service="gateway")
            and total(now, "chasqui_outbox_rows", service="gateway")
        ),
        "the gateway's events to wait",
        120,
    )
    await run_sql(watch.assembly.database.admin_url, "UPDATE gateway.outbox SET created_at = created_at - interval '5 minutes'")
    during = await watch.until(
        lambda now: total(now, "chasqui_outbox_oldest_age_seconds", service="gateway") > 200, "them to be old"
    )
    await assert_fires("ChasquiOutboxLags", before, during, service="gateway")
    await assert_fires("ChasquiPublishingFails", before, during, service="gateway")

    broker.silent = False
    after = await watch.until(lambda now: total(now, "chasqui_outbox_rows") == 0, "the outbox to be empty", 90)
    await assert_quiet("ChasquiOutboxLags", during, after)


async def test_what_nobody_can_read_is_a_dead_letter(watch_on_broker: Watch, rabbit_url: str) -> None:
    before = await watch_on_broker.scrape()
    await put(rabbit_url, "archive.record", [aio_pika.Message(b"{", content_type="application/json")])
    after = await watch_on_broker.until(lambda now: total(now, "chasqui_bus_dead_letters"), "the dead letter")
    await assert_fires("ChasquiDeadLetters", before, after, queue="archive.record")


async def test_what_nobody_handles_piles_up(watch_on_broker: Watch, rabbit_url: str) -> None:
    watch, admin_url = watch_on_broker, watch_on_broker.assembly.database.admin_url
    before = await watch.scrape()
    heard = await overheard(watch, rabbit_url)
    async with held(admin_url, "LOCK TABLE archive.entries IN ACCESS EXCLUSIVE MODE"):
        await put(rabbit_url, "archive.record", [heard] * TOO_MANY)
        during = await watch.until(
            lambda now: (
                total(now, "chasqui_bus_queue_messages", queue="archive.record") > 10_000
                and total(now, "chasqui_bus_events_total", subscription="archive.record", outcome="retried")
            ),
            "the backlog",
            120,
        )
    await assert_fires("ChasquiQueueBacklog", before, during, queue="archive.record")
    await assert_fires("ChasquiHandlersFail", before, during, subscription="archive.record")


async def overheard(watch: Watch, rabbit_url: str) -> aio_pika.Message:
    """An event of a message, as it goes to the archive."""
    connection = await aio_pika.connect(rabbit_url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(EXCHANGE, "message.sent.v1")
        await watch.api.send(to="+15551234567")
        async with queue.iterator(timeout=60) as deliveries:
            async for heard in deliveries:
                await heard.ack()
                return aio_pika.Message(
                    heard.body,
                    headers=heard.headers,
                    content_type=heard.content_type,
                    content_encoding=heard.content_encoding,
                    type=heard.type,
                    delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
                )
    raise AssertionError("nothing came")


async def put(rabbit_url: str, queue: str, messages: Sequence[aio_pika.Message]) -> None:
    """Straight into the queue; returns when the broker has them all."""
    assert queue in {subscription.name for subscription in SUBSCRIPTIONS}
    connection = await aio_pika.connect(rabbit_url)
    async with connection:
        channel = await connection.channel()
        for start in range(0, len(messages), 500):
            some = messages[start : start + 500]
            await asyncio.gather(*(channel.default_exchange.publish(one, queue) for one in some))
