"""The HTTP server of a service: binds early, answers until it drains, ends when the last request in hand has."""

from __future__ import annotations

import asyncio
import errno
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from shared.bus.interface import StopSignal
from shared.errors import Rejected
from shared.http.codes import Code
from shared.http.docs import docs_routes
from shared.http.edge import SERVER, Edge, add_headers, request_id_of
from shared.http.health import Check, Health
from shared.http.problem import problem_response
from shared.http.routes import Access, Authenticator, FailureWriter, Route
from shared.http.scraping import metrics_route
from shared.run import Stage
from shared.systemd import inherited_socket
from shared.telemetry.catalogue import HTTP_CONNECTIONS, HTTP_REQUESTS_IN_FLIGHT
from shared.telemetry.metrics import Metrics, Reading
from shared.telemetry.tracing import Tracing

log = structlog.get_logger(__name__)

KEEPALIVE_SECONDS: Final = 75.0
_LINGERING_SECONDS: Final = 10.0
"""A refused body is read and thrown away for so long: closing earlier would reset the connection and lose the answer."""
_BACKLOG: Final = 1024
_KEPT_BYTES: Final = 2048
_TARGET_BYTES: Final = 8190
_HEADER_BYTES: Final = 8192
"""Name and value. Not the same: only by its limit aiohttp tells which of the two was too long."""
_HEADERS: Final = 128
_REQUEST_LINE: Final = re.compile(rb"[!-~]{1,32} (/[!-~]*) HTTP/")
_FOREVER_SECONDS: Final = 24 * 3600.0
_CUT_SECONDS: Final = 0.05


class PortTaken(Exception):
    """Another process listens there."""

    def __init__(self, host: str, port: int) -> None:
        super().__init__(f"port {port} on {host} is taken")
        self.host = host
        self.port = port


class HttpServer:
    """Serves `routes`, `/health`, `/ready`, `/metrics` where it is given some, and with `serve_docs` `{prefix}/openapi.json` and
    `{prefix}/docs`.

    A builder awaits `start`, so that a taken port fails the start, and pushes `close` on its stack, so that a start that fails
    later gives the port back. The server answers from `start` on; it is ready from `run` on.
    """

    stage: Final = Stage.INTAKE

    def __init__(  # noqa: PLR0913  # facts of one service, all by name
        self,
        name: str,
        routes: Sequence[Route],
        *,
        host: str,
        port: int,
        authenticate: Mapping[Access, Authenticator],
        tracing: Tracing,
        readiness: Mapping[str, Check],
        title: str,
        version: str,
        description: str = "",
        prefix: str = "/api",
        serve_docs: bool = False,
        notice_seconds: float = 0,
        metrics: Metrics | None = None,
    ) -> None:
        """`port` 0 picks a free one. `notice_seconds`: how long requests are still taken once it is to stop.

        Raises ValueError where a route's access has no authenticator.
        """
        self.name = f"{name}.http"
        self.host = host
        self._port = port
        self._notice_seconds = notice_seconds
        self._health = Health(readiness)
        self._edge = Edge(name, authenticate, tracing, metrics)
        self.routes: Sequence[Route] = (*routes, *self._health.routes())
        if metrics is not None:
            metrics.source("http", self._read)
            metrics.source("spans", tracing.read)
            self.routes = (*self.routes, metrics_route(metrics))
        if serve_docs:
            self.routes = (
                *self.routes,
                *docs_routes(self.routes, title=title, version=version, description=description, prefix=prefix),
            )
        for access in {route.access for route in self.routes} - {Access.PUBLIC}:
            if access not in authenticate:
                raise ValueError(f"no authenticator for {access} routes")
        self._runner: _Runner | None = None
        self._dialects: list[tuple[re.Pattern[str], FailureWriter]] = []

    @property
    def port(self) -> int:
        """The bound port, once started; before, the one asked for."""
        return self._port

    async def start(self) -> None:
        """Bind and answer. Twice is safe. Raises `PortTaken`, or another OSError where the address cannot be had."""
        if self._runner is not None:
            return
        app = web.Application(middlewares=[self._edge.handle])
        app.on_response_prepare.append(add_headers)
        for route in self.routes:
            self._serve(app, route)
        # Whoever drains us sets the bound, by cancelling.
        runner = _Runner(app, self._failure_at, shutdown_timeout=_FOREVER_SECONDS)
        await runner.setup()
        given = inherited_socket(self._port)
        try:
            if given is not None:
                await web.SockSite(runner, given, backlog=_BACKLOG).start()
            else:
                await web.TCPSite(runner, self.host, self._port, backlog=_BACKLOG).start()
        except OSError as error:
            await runner.cleanup()
            if error.errno == errno.EADDRINUSE:
                raise PortTaken(self.host, self._port) from error
            raise
        self._runner = runner
        self._port = runner.addresses[0][1]
        log.info("http.listening", server=self.name, host=self.host, port=self._port)

    async def run(self, stop: StopSignal) -> None:
        """Answer until `stop`; then say so to whoever asks for readiness, and make each answer the last of its connection; when the
        time of notice is over refuse new connections, close idle ones and wait for the requests in hand.

        If cancelled while waiting, those requests are cancelled too.
        """
        await self.start()
        self._health.phase = "ready"
        try:
            await stop.wait()
            self._health.phase = "draining"
            self._edge.draining = True
            if self._notice_seconds:
                await asyncio.sleep(self._notice_seconds)
            if self._runner is not None:
                await self._runner.cleanup()
                self._runner = None
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the port and cut every connection. Twice is safe; after `run` there is nothing left to do."""
        self._health.close()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cut()

    async def _read(self) -> Iterable[Reading]:
        server = self._runner.server if self._runner is not None else None
        return (
            Reading(HTTP_REQUESTS_IN_FLIGHT, self._edge.in_flight),
            Reading(HTTP_CONNECTIONS, len(server.connections) if server is not None else 0),
        )

    def _serve(self, app: web.Application, route: Route) -> None:
        if route.method == "GET":
            served = app.router.add_get(route.path, route.handler, expect_handler=self._edge.expect)
        else:
            served = app.router.add_route(route.method, route.path, route.handler, expect_handler=self._edge.expect)
        self._edge.add(served, route)
        if route.failure is not problem_response and served.resource is not None:
            info = served.resource.get_info()
            self._dialects.append((info.get("pattern") or re.compile(re.escape(route.path)), route.failure))
        for sibling in served.resource or ():  # HEAD beside GET
            if sibling.method == "HEAD" and route.method == "GET":
                self._edge.add(sibling, route)

    def _failure_at(self, path: str) -> FailureWriter:
        """The dialect of a path whose request could not be read."""
        return next((failure for pattern, failure in self._dialects if pattern.fullmatch(path)), problem_response)


class _Runner(web.AppRunner):
    """aiohttp's runner with our protocol."""

    def __init__(self, app: web.Application, failure_at: Callable[[str], FailureWriter], **given: Any) -> None:
        super().__init__(app, **given)
        self._failure_at = failure_at

    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        return _Server(
            self._failure_at,
            server.request_handler,
            request_factory=server.request_factory,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=_LINGERING_SECONDS,
            access_log=None,
            auto_decompress=False,
            max_line_size=_TARGET_BYTES,
            max_field_size=_HEADER_BYTES,
            max_headers=_HEADERS,
        )

    async def cut(self) -> None:
        """Stop at once: requests in hand are cancelled."""
        self._shutdown_timeout = _CUT_SECONDS
        await self.cleanup()


class _Server(web.Server):
    def __init__(self, failure_at: Callable[[str], FailureWriter], *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.failure_at = failure_at

    def __call__(self) -> RequestHandler:
        return _Protocol(self, self.failure_at, loop=self._loop, **self._kwargs)


class _Protocol(RequestHandler):
    """Answers what is not HTTP with a problem document too, or as the path's other failures where there is one to see; aiohttp
    would quote the bytes, in the answer and in the log."""

    def __init__(self, server: _Server, failure_at: Callable[[str], FailureWriter], **given: Any) -> None:
        super().__init__(server, **given)
        self._failure_at = failure_at
        self._came = b""

    def data_received(self, data: bytes) -> None:
        """Keeps the last of it: of a request that cannot be read aiohttp tells nothing."""
        self._came = (self._came + data)[-_KEPT_BYTES:] if len(data) < _KEPT_BYTES else data[:_KEPT_BYTES]
        super().data_received(data)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Ends the reading of a refused body too: aiohttp would wait for the rest, and so would a drain."""
        task, is_handling = self._task_handler, self._request_in_progress
        super().connection_lost(exc)
        if task is not None and not is_handling:
            task.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002  # aiohttp's words, which quote the caller
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("part of the answer is out")  # closes the connection
        rejected = _unread(exc) if status < 500 else Rejected(Code.INTERNAL, Code.INTERNAL.sentence, status=status)
        request_id = request_id_of(request)
        if status >= 500:
            log.error("request.failed", request_id=request_id, exc_info=exc)
        lines = _REQUEST_LINE.findall(self._came) if status < 500 else []
        failure = self._failure_at(lines[-1].decode().partition("?")[0]) if lines else problem_response
        response = failure(rejected, request_id, None)
        response.headers["Server"] = SERVER
        response.headers["X-Request-Id"] = request_id
        response.force_close()
        log.info(
            "request.finished",
            method="other",
            route="unmatched",
            status=rejected.status,
            request_id=request_id,
            code=str(rejected.code),
        )
        return response

    def log_exception(self, *_args: Any, **given: Any) -> None:
        """An exception that passed every handler of ours; aiohttp's words about it quote the caller."""
        log.error("request.failed", exc_info=given.get("exc_info", True))


def _unread(error: BaseException | None) -> Rejected:
    """What to tell of a request that aiohttp could not read."""
    if isinstance(error, LineTooLong) and error.args[1] == _TARGET_BYTES:
        return Rejected(Code.REQUEST_TARGET_TOO_LONG, f"The path with its query is over {_TARGET_BYTES} bytes.", status=414)
    if isinstance(error, LineTooLong):
        return Rejected(Code.REQUEST_HEADERS_TOO_LARGE, f"A header is over {_HEADER_BYTES} bytes, name and value.", status=431)
    if isinstance(error, HttpProcessingError) and error.message.startswith("Too many headers"):
        return Rejected(Code.REQUEST_HEADERS_TOO_LARGE, f"There are more than {_HEADERS} headers.", status=431)
    return Rejected(Code.REQUEST_MALFORMED, Code.REQUEST_MALFORMED.sentence, status=400)
