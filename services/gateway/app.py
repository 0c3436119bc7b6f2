"""Wiring of the gateway: the only file that knows all of it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

from services.gateway.accept import Acceptance
from services.gateway.connections import Connections
from services.gateway.consumers import SUBSCRIPTIONS, subscribers
from services.gateway.domain.origins import Origins
from services.gateway.ingest import Intake
from services.gateway.jobs import jobs, reader_job
from services.gateway.numbers import NumberDirectory
from services.gateway.routes.archive import ArchiveRoutes
from services.gateway.routes.messages import MessageRoutes
from services.gateway.routes.numbers import NumberRoutes
from services.gateway.routes.twilio import TwilioRoutes
from services.gateway.routes.webhooks import WebhookRoutes
from services.gateway.settings import Settings
from services.gateway.tenants import Authenticator
from services.gateway.twilio import TwilioIntake
from shared.auth.seal import Sealer
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.db.pool import check, open_pool
from shared.http.client import open_client
from shared.http.routes import Access, Route
from shared.http.server import HttpServer
from shared.run import Component
from shared.telemetry.tracing import Tracing

TITLE: Final = "Chasqui"
VERSION: Final = "0.1.0"
DESCRIPTION: Final = "WhatsApp messages: accepted, scheduled, sent within every limit, received, archived, searchable."


async def build(stack: AsyncExitStack, settings: Settings, bus: Bus, tracing: Tracing) -> Sequence[Component]:
    """Open what the gateway needs; nothing runs yet."""
    clock = SystemClock()
    sealer = Sealer(settings.security.master_key.get_secret_value())
    pool = await stack.enter_async_context(open_pool(settings.db, "gateway"))
    session = await stack.enter_async_context(open_client())
    await bus.declare(SUBSCRIPTIONS)
    outbox = Outbox(pool, bus, service="gateway")
    directory = NumberDirectory(pool, sealer, clock)
    public_url = settings.gateway.public_url or f"http://127.0.0.1:{settings.http.port}"
    connections = Connections(
        sealer,
        Origins.parse(settings.gateway.provider_origins),
        clock,
        public_url,
    )
    acceptance = Acceptance(outbox, directory, clock)
    reader = reader_job(outbox, directory, tracing)
    intake = Intake(pool, directory, reader.wake)
    routes = public_routes(
        MessageRoutes(acceptance, outbox, pool),
        NumberRoutes(outbox, pool, connections, directory),
        ArchiveRoutes(session, settings.gateway.archive_url, settings.security.internal_token.get_secret_value()),
        WebhookRoutes(intake, pool),
        TwilioRoutes(TwilioIntake(intake, directory, public_url, clock)),
    )
    http = HttpServer(
        "gateway",
        routes,
        host=settings.http.host,
        port=settings.http.port,
        authenticate={Access.TENANT: Authenticator(pool, clock)},
        tracing=tracing,
        readiness={"database": lambda: check(pool)},
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        serve_docs=True,
    )
    stack.push_async_callback(http.close)
    await http.start()
    return [
        http,
        acceptance.singles,
        intake.writes,
        *subscribers(bus, outbox, connections, tracing),
        reader,
        *jobs(pool),
        outbox,
    ]


def public_routes(
    messages: MessageRoutes, numbers: NumberRoutes, archive: ArchiveRoutes, webhooks: WebhookRoutes, twilio: TwilioRoutes
) -> Sequence[Route]:
    """The whole public API, in the order of its reference."""
    return [*messages.routes(), *numbers.routes(), *archive.routes(), *webhooks.routes(), *twilio.routes()]
