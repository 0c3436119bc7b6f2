"""Wiring of the sender: the only file that knows all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from services.sender.callbacks.app import open_callbacks
from services.sender.caller import Caller
from services.sender.calls import Calls
from services.sender.clearance import Clearance
from services.sender.conclude import Conclusions
from services.sender.consumers import SUBSCRIPTIONS, subscribers
from services.sender.deliver import Delivery
from services.sender.domain.retry import RetryPolicy
from services.sender.erase import PARTS
from services.sender.health import Health
from services.sender.jobs import jobs
from services.sender.journal import Journal
from services.sender.limits import LimitSettings
from services.sender.media import OwnFiles
from services.sender.numbers import Numbers
from services.sender.prepare import Preparation
from services.sender.references import References
from services.sender.removals import Removals
from services.sender.routes import OperatorRoutes
from services.sender.settings import Settings
from services.sender.uploads import UPLOAD_SECONDS, Uploads
from shared.auth.seal import Sealer
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.erasure import steps
from shared.http.client import open_client
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.limits.breaker import BreakerPolicy
from shared.limits.breakers import Breakers
from shared.limits.redis import RedisLimiter
from shared.objects.store import open_objects
from shared.run import Component
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing) -> Sequence[Component]:
    """Open what the sender needs; nothing runs yet."""
    clock = SystemClock()
    pool = await stack.enter_async_context(open_pool(settings.db, "sender"))
    await bus.declare(SUBSCRIPTIONS)
    outbox = Outbox(pool, bus, service="sender")
    redis = Redis.from_pool(
        BlockingConnectionPool.from_url(
            settings.redis.url,
            socket_timeout=0.2,
            socket_connect_timeout=0.5,
            retry=Retry(NoBackoff(), 0),
            max_connections=20,
            timeout=0.5,
        )
    )
    stack.push_async_callback(redis.aclose)
    own = settings.sender
    # Idle connections are dropped well before the provider closes them, so that a request rarely meets one that is going away.
    session = await stack.enter_async_context(open_client(limit=own.concurrency, keepalive_seconds=15))
    master_key = settings.security.master_key.get_secret_value()
    limits = LimitSettings(
        hashlib.sha256(f"limits:{master_key}".encode()).digest(),
        (own.critical_per_minute, own.high_per_minute, own.normal_per_minute, own.low_per_minute),
        own.tenant_per_second,
        own.all_per_second,
    )
    directory = Numbers(pool, Sealer(master_key), clock, limits)
    limiter = RedisLimiter(redis, clock, local_share=own.local_share)
    breakers = Breakers(redis, BreakerPolicy(threshold=own.breaker_threshold, open_seconds=own.breaker_open_seconds), clock)
    health = Health(breakers, limiter, clock)
    clearance = Clearance(directory, health)
    conclusions = Conclusions(directory, limiter, RetryPolicy(own.retry_attempts, own.retry_horizon_seconds), clock)
    references = References(pool, clock)
    objects = open_objects(settings.objects)
    # Files take longer than messages, and have connections of their own.
    file_session = await stack.enter_async_context(open_client(limit=16, total_seconds=UPLOAD_SECONDS))
    uploads = Uploads(outbox, pool, file_session, objects, directory)
    files = OwnFiles(pool, clock, uploads.wake)
    preparation = Preparation([references], files)
    calls = Calls(
        outbox,
        Caller(session, Journal(own.journal_folder), preparation, clearance, health, conclusions, tracing, clock),
        limiter,
        clock,
        concurrency=own.concurrency,
        per_number=own.calls_per_number,
        max_in_flight=own.max_in_flight,
    )
    delivery = Delivery(outbox, directory, clearance, limiter, calls, clock)
    callbacks = await open_callbacks(
        stack,
        outbox,
        pool,
        redis,
        Sealer(master_key),
        settings.outside.networks,
        clock,
        concurrency=own.callback_concurrency,
    )
    http = HttpServer(
        "sender",
        (*OperatorRoutes(directory, health, limiter, calls).routes(), *callbacks.routes, steps.route(outbox, PARTS)),
        host=settings.sender.host,
        port=settings.sender.port,
        authenticate={Access.INTERNAL: internal(settings.security.internal_token)},
        tracing=tracing,
        readiness={"database": lambda: check(pool)},
        title="Chasqui sender",
        version="1",
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [
        http,
        *subscribers(bus, outbox, tracing, delivery, directory, limiter, clock, callbacks),
        calls,
        references.lookups,
        files.lookups,
        *uploads.workers,
        Removals(pool, file_session, directory).worker,
        health.slowing,
        *jobs(outbox, pool, own.journal_folder, own.unknown_grace_seconds),
        *callbacks.components,
        breakers,
        outbox,
    ]
