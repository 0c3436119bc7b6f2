"""Wiring of the archive: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

from services.archive.consumers import SUBSCRIPTIONS, subscriber
from services.archive.jobs import jobs
from services.archive.record import Recorder
from services.archive.routes import conversations, search
from services.archive.routes.cursor import Cursors
from services.archive.settings import Settings
from shared.bus.interface import Bus
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.run import Component
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing) -> Sequence[Component]:
    """Open what the archive needs; nothing runs yet."""
    pool = await stack.enter_async_context(open_pool(settings.db, "archive"))
    await bus.declare(SUBSCRIPTIONS)
    recorder = Recorder(pool)
    cursors = Cursors(settings.security.internal_token)
    http = HttpServer(
        "archive",
        (*conversations.routes(pool, cursors), *search.routes(pool, cursors)),
        host=settings.archive.host,
        port=settings.archive.port,
        authenticate={Access.INTERNAL: internal(settings.security.internal_token)},
        tracing=tracing,
        readiness={"database": lambda: check(pool)},
        title="Chasqui archive",
        version="1",
        serve_docs=True,
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [http, subscriber(bus, recorder, tracing), *jobs(pool, recorder, SystemClock())]
