"""Wiring of the scheduler: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.scheduler.consumers import SUBSCRIPTIONS, subscribers
from services.scheduler.erase import OwnParts
from services.scheduler.jobs import jobs, plan_job, release_job
from services.scheduler.metrics import add_sources, counting
from services.scheduler.routes import gates
from services.scheduler.routes.campaigns import CampaignRoutes
from services.scheduler.routes.schedules import ScheduleRoutes
from services.scheduler.settings import Settings
from shared.bus.depths import depths
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.db.query_times import QueryTimes
from shared.erasure import steps
from shared.http.internal import internal, service
from shared.http.routes import Access
from shared.http.scraping import scraper
from shared.http.server import HttpServer
from shared.operations.station import Station
from shared.run import Component
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing, metrics: Metrics) -> Sequence[Component]:
    """Open what the scheduler needs; nothing runs yet."""
    clock = SystemClock()
    times = QueryTimes(metrics, "main")
    pool = await stack.enter_async_context(open_pool(settings.db, "scheduler", times=times))
    await bus.declare(SUBSCRIPTIONS)
    outbox = Outbox(pool, bus, metrics, counting(metrics))
    metrics.source("queues", depths(bus, SUBSCRIPTIONS))
    add_sources(metrics, pool)
    release = release_job(outbox, tracing, metrics, clock)
    plan = plan_job(outbox, clock)
    http = HttpServer(
        "scheduler",
        (
            *gates.routes(pool),
            *ScheduleRoutes(outbox, pool, clock, plan.wake).routes(),
            *CampaignRoutes(outbox, pool, clock).routes(),
            steps.route(outbox, OwnParts(clock).all()),
            *Station(bus, SUBSCRIPTIONS, {"main": pool}, [times]).routes(),
        ),
        host=settings.scheduler.host,
        port=settings.scheduler.port,
        authenticate={
            Access.INTERNAL: internal(*settings.security.internal_tokens),
            Access.SERVICE: service(*settings.security.internal_tokens),
            Access.METRICS: scraper(*settings.telemetry.metrics_tokens),
        },
        tracing=tracing,
        metrics=metrics,
        notice_seconds=settings.run.drain_notice_seconds,
        readiness={"database": lambda: check(pool)},
        title="Chasqui scheduler",
        version="1",
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [http, *subscribers(bus, outbox, tracing, metrics, clock, release.wake), release, plan, *jobs(outbox, pool), outbox]
