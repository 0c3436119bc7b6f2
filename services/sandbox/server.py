"""The HTTP server: aiohttp's low-level one, without a router, because every microsecond of a send is multiplied by its rate."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Final

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from shared.bus.interface import StopSignal
from shared.run import Stage

log = structlog.get_logger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

DRAIN_SECONDS: Final = 2.0
KEEPALIVE_SECONDS: Final = 75.0
BACKLOG: Final = 1024
TAKEN_SECONDS: Final = 0.005


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
        server = _Server(
            self._handler,
            access_log=None,
            keepalive_timeout=KEEPALIVE_SECONDS,
            # A request that has come whole is served although its caller is gone, as the provider does: its statuses still go out.
            handler_cancellation=False,
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


class _Whole(RequestHandler):
    """Serves a request that has come whole although its caller is gone, as the provider does.

    aiohttp drops it where request and end of connection are read in one go, so the end waits until the request was taken.
    """

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._messages:
            self._loop.call_later(TAKEN_SECONDS, self.connection_lost, exc)
        else:
            super().connection_lost(exc)


class _Server(web.Server):
    """aiohttp's server with our protocol."""

    def __call__(self) -> RequestHandler:
        return _Whole(self, loop=self._loop, **self._kwargs)
