"""Wiring of the scheduler: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.scheduler.consumers import SUBSCRIPTIONS, subscribers
from services.scheduler.erase import OwnParts
from services.scheduler.jobs import jobs, plan_job, release_job
from services.scheduler.routes import gates
from services.scheduler.routes.campaigns import CampaignRoutes
from services.scheduler.routes.schedules import ScheduleRoutes
from services.scheduler.settings import Settings
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.erasure import steps
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.run import Component
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing) -> Sequence[Component]:
    """Open what the scheduler needs; nothing runs yet."""
    clock = SystemClock()
    pool = await stack.enter_async_context(open_pool(settings.db, "scheduler"))
    await bus.declare(SUBSCRIPTIONS)
    outbox = Outbox(pool, bus, service="scheduler")
    release = release_job(outbox, clock)
    plan = plan_job(outbox, clock)
    http = HttpServer(
        "scheduler",
        (
            *gates.routes(pool),
            *ScheduleRoutes(outbox, pool, clock, plan.wake).routes(),
            *CampaignRoutes(outbox, pool, clock).routes(),
            steps.route(outbox, OwnParts(clock).all()),
        ),
        host=settings.scheduler.host,
        port=settings.scheduler.port,
        authenticate={Access.INTERNAL: internal(settings.security.internal_token)},
        tracing=tracing,
        readiness={"database": lambda: check(pool)},
        title="Chasqui scheduler",
        version="1",
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [http, *subscribers(bus, outbox, tracing, clock, release.wake), release, plan, *jobs(outbox, pool), outbox]
