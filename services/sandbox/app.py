"""Wiring of the sandbox."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack

import aiohttp

from services.sandbox.happen import take_steps
from services.sandbox.ledger import Ledger
from services.sandbox.numbers import Numbers
from services.sandbox.routes.control import Control
from services.sandbox.routes.messages import Messages
from services.sandbox.routes.nodes import Nodes
from services.sandbox.routes.paths import Paths
from services.sandbox.routes.templates import TemplateRoutes
from services.sandbox.server import GraphServer
from services.sandbox.settings import Settings
from services.sandbox.timers import Timers
from services.sandbox.twilio.mount import Twilio
from services.sandbox.webhooks import POST_SECONDS, WebhookSender
from services.sandbox.world import Step, World
from shared.clock import SystemClock
from shared.run import Component
from shared.telemetry.tracing import Tracing


async def build(stack: AsyncExitStack, settings: Settings, tracing: Tracing) -> Sequence[Component]:
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
    stack.callback(timers.close)
    world = World(Numbers(own.numbers_limit), Ledger(own.ledger_limit), timers, webhooks, session, clock, own.behaviour())
    world.numbers.put(own.phone_number_id, own.first_number(), clock.monotonic())

    twilio = Twilio(world)
    stack.callback(twilio.close)
    templates = TemplateRoutes(world)
    control = Control(world, {"twilio": twilio.control, "templates": templates.control})
    paths = Paths(Messages(world, tracing), Nodes(world), templates, control, twilio.handle)
    server = GraphServer(paths.handle, host=own.host, port=own.port)
    await server.open(stack)
    return [server, webhooks, *twilio.components]
