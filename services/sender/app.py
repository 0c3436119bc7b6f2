"""Wiring of the sender: the only file that knows all of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack

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
from services.sender.metrics import add_sources
from services.sender.numbers import Numbers
from services.sender.prepare import Preparation
from services.sender.references import References
from services.sender.removals import Removals
from services.sender.restored import Fence
from services.sender.routes import OperatorRoutes, RestoredRoutes
from services.sender.settings import Settings
from services.sender.store import restored
from services.sender.uploads import UPLOAD_SECONDS, Uploads
from shared.auth.kept_keys import kept_keys
from shared.bus.depths import depths
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.db.query_times import QueryTimes
from shared.erasure import steps
from shared.http.client import open_client
from shared.http.internal import internal, service
from shared.http.routes import Access
from shared.http.scraping import scraper
from shared.http.server import HttpServer
from shared.limits.breaker import BreakerPolicy
from shared.limits.breakers import Breakers
from shared.limits.redis import RedisLimiter
from shared.objects.store import open_objects
from shared.operations.station import Station
from shared.redis import open_redis
from shared.run import Component
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing, metrics: Metrics) -> Sequence[Component]:
    """Open what the sender needs; nothing runs yet."""
    clock = SystemClock()
    times = QueryTimes(metrics, "main")
    pool = await stack.enter_async_context(open_pool(settings.db, "sender", times=times))
    await bus.declare(SUBSCRIPTIONS)
    metrics.source("queues", depths(bus, SUBSCRIPTIONS))
    outbox = Outbox(pool, bus, metrics)
    redis = await stack.enter_async_context(open_redis(settings.redis))
    own = settings.sender
    # Idle connections are dropped well before the provider closes them, so that a request rarely meets one that is going away.
    session = await stack.enter_async_context(open_client(limit=own.concurrency, keepalive_seconds=15))
    sealer = settings.security.sealer()
    first = hashlib.sha256(f"limits:{settings.security.master_key.get_secret_value()}".encode()).digest()
    limits = LimitSettings(
        (await kept_keys(pool, sealer, {"limits": first}))["limits"],
        (own.critical_per_minute, own.high_per_minute, own.normal_per_minute, own.low_per_minute),
        own.tenant_per_second,
        own.all_per_second,
    )
    directory = Numbers(pool, sealer, clock, limits)
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
        Caller(session, Journal(own.journal_folder), preparation, clearance, health, conclusions, tracing, metrics, clock),
        limiter,
        clock,
        metrics,
        concurrency=own.concurrency,
        per_number=own.calls_per_number,
        max_in_flight=own.max_in_flight,
    )
    fence = Fence(outbox, await restored.last(pool), metrics, clock)
    delivery = Delivery(outbox, directory, clearance, limiter, calls, metrics, clock, fence)
    callbacks = await open_callbacks(
        stack,
        outbox,
        pool,
        redis,
        sealer,
        settings.outside.networks,
        metrics,
        clock,
        concurrency=own.callback_concurrency,
    )
    station = Station(bus, SUBSCRIPTIONS, {"main": pool}, [times])
    http = HttpServer(
        "sender",
        (
            *OperatorRoutes(directory, health, limiter, calls).routes(),
            *callbacks.routes,
            *RestoredRoutes(outbox, pool).routes(),
            steps.route(outbox, PARTS),
            *station.routes(),
        ),
        host=settings.sender.host,
        port=settings.sender.port,
        authenticate={
            Access.INTERNAL: internal(*settings.security.internal_tokens),
            Access.SERVICE: service(*settings.security.internal_tokens),
            Access.METRICS: scraper(*settings.telemetry.metrics_tokens),
        },
        tracing=tracing,
        metrics=metrics,
        notice_seconds=settings.run.drain_notice_seconds,
        readiness={"database": lambda: check(pool)},
        title="Chasqui sender",
        version="1",
    )
    add_sources(metrics, pool, directory, limiter, health, calls, clock)
    stack.push_async_callback(http.close)
    await http.start()
    return [
        http,
        *subscribers(bus, outbox, tracing, metrics, delivery, directory, limiter, clock, callbacks),
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
