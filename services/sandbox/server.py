"""The HTTP server: a parser in C and plain functions, because every microsecond of a send is multiplied by its rate."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import Any, Final

import structlog

from services.sandbox.connection import Connection, Handler, TakesFiles, takes_none
from shared.bus.interface import StopSignal
from shared.run import Stage

log = structlog.get_logger(__name__)

DRAIN_SECONDS: Final = 2.0
KEEPALIVE_SECONDS: Final = 75.0
BACKLOG: Final = 4096
_SWEEP_SECONDS: Final = 5.0


class GraphServer:
    """A component that serves `handler`, from `open` on."""

    name = "sandbox.http"
    stage = Stage.RELAY  # in the one-process run it must outlive the sender, whose calls in hand end here

    def __init__(self, handler: Handler, *, host: str, port: int, takes_files: TakesFiles = takes_none) -> None:
        self._handler = handler
        self._takes_files = takes_files
        self._host = host
        self._connections: set[Connection] = set()
        self._left = asyncio.Event()
        """Set whenever the last connection has gone."""
        self.port = port

    @property
    def connections(self) -> int:
        """Open ones."""
        return len(self._connections)

    @property
    def in_flight(self) -> int:
        """Requests whose answers are not written."""
        return sum(connection.in_flight for connection in self._connections)

    async def open(self, stack: AsyncExitStack) -> None:
        """Bind and accept. Raises `OSError` where host and port cannot be bound; closed by `stack`."""
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        waiting: set[asyncio.Task[None]] = set()

        def cut() -> None:
            """What is still open when everything closes."""
            for task in waiting:
                task.cancel()
            for connection in list(self._connections):
                connection.abort()

        def connect() -> Connection:
            def spawn(work: Coroutine[Any, Any, None]) -> None:
                task = tasks.create_task(work, name="sandbox.http.request")
                waiting.add(task)
                task.add_done_callback(waiting.discard)

            connection = Connection(self._handler, leave, spawn, self._takes_files)
            self._connections.add(connection)
            self._left.clear()
            return connection

        def leave(connection: Connection) -> None:
            self._connections.discard(connection)
            if not self._connections:
                self._left.set()

        stack.callback(cut)
        self._server = await asyncio.get_running_loop().create_server(connect, self._host, self.port, backlog=BACKLOG)
        stack.callback(self._server.close)
        self.port = self._server.sockets[0].getsockname()[1]
        log.info("sandbox.listening", port=self.port)

    async def run(self, stop: StopSignal) -> None:
        """Serve until `stop`, then take no new connection and let requests in hand end."""
        loop = asyncio.get_running_loop()
        while not await _is_set_within(stop, _SWEEP_SECONDS):
            since = loop.time() - KEEPALIVE_SECONDS
            for connection in list(self._connections):
                connection.close_if_idle(since)
        self._server.close()
        for connection in list(self._connections):
            connection.drain()
        if self._connections:
            await _is_set_within(self._left, DRAIN_SECONDS)
        for connection in list(self._connections):
            connection.abort()


async def _is_set_within(stop: StopSignal, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
