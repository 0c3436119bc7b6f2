"""Wiring of the sandbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import aiohttp

from services.sandbox.happen import take_steps
from services.sandbox.journal import Journal
from services.sandbox.ledger import Ledger
from services.sandbox.measured import Measured
from services.sandbox.media import MediaStore
from services.sandbox.numbers import Numbers
from services.sandbox.routes.accounts import Accounts
from services.sandbox.routes.control import Control
from services.sandbox.routes.inbound import InboundRoutes
from services.sandbox.routes.media import MediaRoutes
from services.sandbox.routes.messages import Messages
from services.sandbox.routes.nodes import Nodes
from services.sandbox.routes.paths import Paths, takes_files
from services.sandbox.routes.templates import TemplateRoutes
from services.sandbox.server import GraphServer
from services.sandbox.settings import Settings
from services.sandbox.timers import Timers
from services.sandbox.twilio.mount import Twilio
from services.sandbox.webhooks import POST_SECONDS, WebhookSender
from services.sandbox.world import Step, World
from shared.clock import SystemClock
from shared.run import Component
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, tracing: Tracing, metrics: Metrics) -> Sequence[Component]:
    """The sandbox's components, listening already. Raises `OSError` where its port is taken."""
    own = settings.sandbox
    clock = SystemClock()
    session = await stack.enter_async_context(
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=POST_SECONDS), connector=aiohttp.TCPConnector(limit=0), trust_env=False
        )
    )
    webhooks = WebhookSender(
        session,
        clock,
        concurrency=own.webhook_concurrency,
        retry_seconds=own.webhook_retry_seconds,
        backlog=own.webhook_backlog,
    )

    def fire(steps: list[Step]) -> None:
        take_steps(world, steps)

    timers = Timers[Step](fire)
    later = Timers[Callable[[], None]](_run_all)
    stack.callback(timers.close)
    stack.callback(later.close)
    world = World(
        Numbers(own.numbers_limit),
        Ledger(own.ledger_limit),
        timers,
        later,
        webhooks,
        session,
        clock,
        own.behaviour(),
        MediaStore(clock, own.media_bytes),
        Journal(clock, own.request_log),
    )
    world.numbers.put(own.phone_number_id, own.first_number(), clock.monotonic())

    twilio = Twilio(world)
    stack.callback(twilio.close)
    templates = TemplateRoutes(world)
    media = MediaRoutes(world)
    inbound = InboundRoutes(world, media)
    control = Control(
        world,
        {
            "twilio": twilio.control,
            "templates": templates.control,
            "media": media.control,
            "inbound": inbound.inbound,
            "echoes": inbound.echoes,
            "webhooks": inbound.webhooks,
        },
    )
    nodes = Nodes(world)
    accounts = Accounts(world, nodes)
    paths = Paths(world, Messages(world, tracing), nodes, accounts, templates, media, control, twilio.handle)
    measured = Measured(paths.handle, metrics, settings.telemetry.metrics_token)
    server = GraphServer(measured.handle, host=own.host, port=own.port, takes_files=takes_files)
    measured.watch(server)
    await server.open(stack)
    return [server, webhooks, *twilio.components]


def _run_all(works: list[Callable[[], None]]) -> None:
    for work in works:
        work()
