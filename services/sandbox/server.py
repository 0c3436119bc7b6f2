"""The HTTP server: aiohttp's low-level one, without a router, because every microsecond of a send is multiplied by its rate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiohttp import web

from shared.bus.interface import StopSignal
from shared.run import Stage

log = structlog.get_logger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

DRAIN_SECONDS: Final = 2.0
KEEPALIVE_SECONDS: Final = 75.0
BACKLOG: Final = 1024


class GraphServer:
    """A component that serves `handler`. `draining` is set when it stops: whatever hangs on purpose ends then."""

    name = "sandbox.http"
    stage = Stage.RELAY  # in the one-process run it must outlive the sender, whose calls in hand end here

    def __init__(self, handler: Handler, *, host: str, port: int, draining: asyncio.Event) -> None:
        self._handler = handler
        self._host = host
        self._draining = draining
        self.port = port

    async def open(self, stack: AsyncExitStack) -> None:
        """Bind and accept. Raises `OSError` where host and port cannot be bound; closed by `stack`."""
        server = web.Server(
            self._handler,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            handler_cancellation=True,
        )
        runner = web.ServerRunner(server, shutdown_timeout=DRAIN_SECONDS)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, self._host, self.port, backlog=BACKLOG).start()
        self.port = runner.addresses[0][1]
        self._runner = runner
        log.info("sandbox.listening", port=self.port)

    async def run(self, stop: StopSignal) -> None:
        """Serve until `stop`, then take no new connection and let requests in hand end."""
        await stop.wait()
        self._draining.set()
        await self._runner.cleanup()
