"""Wiring of the sender: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.sender.calls import Calls
from services.sender.consumers import SUBSCRIPTIONS, subscribers
from services.sender.deliver import Delivery
from services.sender.jobs import jobs
from services.sender.journal import Journal
from services.sender.numbers import Numbers
from services.sender.settings import Settings
from shared.auth.seal import Sealer
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.http.client import open_client
from shared.http.server import HttpServer
from shared.limits.pacing import LocalPacing, RedisPacing
from shared.run import Component
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing) -> Sequence[Component]:
    """Open what the sender needs; nothing runs yet."""
    clock = SystemClock()
    pool = await stack.enter_async_context(open_pool(settings.db, "sender"))
    await bus.declare(SUBSCRIPTIONS)
    outbox = Outbox(pool, bus, service="sender")
    redis = Redis.from_url(
        settings.redis.url, socket_timeout=0.2, socket_connect_timeout=0.5, retry=Retry(NoBackoff(), 0), max_connections=50
    )
    stack.push_async_callback(redis.aclose)
    # Idle connections are dropped well before the provider closes them, so that a request rarely meets one that is going away.
    session = await stack.enter_async_context(open_client(limit=settings.sender.concurrency, keepalive_seconds=15))
    directory = Numbers(pool, Sealer(settings.security.master_key.get_secret_value()), clock)
    calls = Calls(
        outbox,
        session,
        Journal(settings.sender.journal_folder),
        tracing,
        clock,
        concurrency=settings.sender.concurrency,
        max_in_flight=settings.sender.max_in_flight,
    )
    delivery = Delivery(outbox, directory, RedisPacing(redis, LocalPacing(clock)), calls, clock)
    http = HttpServer(
        "sender",
        (),
        host=settings.sender.host,
        port=settings.sender.port,
        authenticate={},
        tracing=tracing,
        readiness={"database": lambda: check(pool)},
        title="Chasqui sender",
        version="1",
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [
        http,
        *subscribers(bus, outbox, tracing, delivery, directory),
        calls,
        *jobs(outbox, settings.sender.journal_folder),
        outbox,
    ]
