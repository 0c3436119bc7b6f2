"""What happens around every request: its id, its span, who calls, the problem if it fails, and one line about how it ended."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from typing import Final

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractMatchInfo

from shared.errors import Rejected
from shared.http.codes import Code
from shared.http.compression import compress
from shared.http.faults import text_fault
from shared.http.problem import problem_response, rejection_of
from shared.http.routes import EVENT_STREAM, REQUEST_ID, ROUTE, TENANT_ID, Access, Authenticator, Handler, Route
from shared.telemetry.catalogue import HTTP_REQUEST_DURATION_SECONDS, HTTP_REQUESTS_TOTAL
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import RECORD, RECORD_HEADER, Tracing, trace_id_of

log = structlog.get_logger(__name__)

SERVER: Final = "chasqui"
_SANE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_NO_ROUTE: Final = "unmatched"

CLIENT_GONE_STATUS: Final = 499
"""Seen in logs only: the client closed the connection while its answer was being streamed."""


class Edge:
    """The middleware of one server. `draining` makes every further answer the last one of its connection. `in_flight` requests are
    being answered, streams of events left out: those last for as long as somebody listens and are no load to scale by."""

    def __init__(
        self, service: str, authenticate: Mapping[Access, Authenticator], tracing: Tracing, metrics: Metrics | None
    ) -> None:
        self.draining = False
        self.in_flight = 0
        self._service = service
        self._authenticate = authenticate
        self._tracing = tracing
        self._metrics = metrics
        self._routes: dict[web.AbstractRoute, Route] = {}

    def add(self, served: web.AbstractRoute, route: Route) -> None:
        """`served` is aiohttp's route of ours."""
        self._routes[served] = route

    @web.middleware
    async def handle(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer one request; never raises but to cut a connection whose answer has begun."""
        route = self._routes.get(request.match_info.route)
        request[REQUEST_ID] = request_id_of(request)
        if route is not None and route.quiet:
            return await self._answer_quietly(request, handler, route)
        is_brief = _is_brief(route)
        self.in_flight += is_brief
        try:
            return await self._answer_openly(request, handler, route)
        finally:
            self.in_flight -= is_brief

    async def _answer_openly(self, request: web.Request, handler: Handler, route: Route | None) -> web.StreamResponse:
        """Traced, logged, counted."""
        started = time.perf_counter()
        match, request_id = request.match_info, request[REQUEST_ID]
        method = request.method if request.method in _METHODS else "other"
        template = route.template if route else _NO_ROUTE
        with self._tracing.span(
            f"{method} {template}",
            kind="server",
            traceparent=request.headers.get("traceparent"),
            attributes={"http.request.method": method, "http.route": template, "request_id": request_id},
            record=request.headers.get(RECORD_HEADER) == RECORD,
        ) as span:
            trace_id = trace_id_of(span.traceparent)
            # aiohttp runs each request in a task of its own: what is bound here ends with it.
            structlog.contextvars.bind_contextvars(service=self._service, request_id=request_id, trace_id=trace_id)
            code = cut = None
            try:
                response = await self._answer(request, handler, match, route)
                await compress(request, response)
                status = response.status
            except Exception as error:  # noqa: BLE001  # the one place where a request's failure becomes an answer
                has_begun = request.writer.output_size > 0
                if has_begun and isinstance(error, ConnectionError):
                    rejected = Rejected(Code.CLIENT_GONE, Code.CLIENT_GONE.sentence, status=CLIENT_GONE_STATUS)
                else:
                    rejected = rejection_of(error)
                _report(rejected, error)
                status, code = rejected.status, str(rejected.code)
                response = (route.failure if route else problem_response)(rejected, request_id, trace_id)
                cut = error if has_begun else None
            if self.draining:
                response.force_close()
            tenant_id = request.get(TENANT_ID)
            span.set(**{"http.response.status_code": status, "tenant_id": tenant_id})
            if status >= 500:
                span.fail(code or str(status))
        seconds = time.perf_counter() - started
        served = request[ROUTE].template if route else template
        if self._metrics is not None:
            self._metrics.count(HTTP_REQUESTS_TOTAL, method, served, str(status))
            if _is_brief(route):
                self._metrics.observe(HTTP_REQUEST_DURATION_SECONDS, seconds, method, served)
        log.info(
            "request.finished",
            method=method,
            route=served,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            **({"tenant_id": tenant_id} if tenant_id else {}),
            **({"code": code} if code else {}),
        )
        if cut is not None:  # part of the answer is out: only a cut connection still says that it is broken
            raise ConnectionResetError from cut
        return response

    async def expect(self, request: web.Request) -> None:
        """Answer `Expect: 100-continue`, unless the announced body is over the limit: the 413 spares the caller sending it."""
        if request.headers.get("Expect", "").lower() != "100-continue" or request.version < HttpVersion11:
            return  # any other expectation may be ignored (RFC 9110 §10.1.1)
        route = self._routes.get(request.match_info.route)
        if route is not None and (request.content_length or 0) <= route.body_limit_bytes:
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0  # the answer itself has not begun

    async def _answer_quietly(self, request: web.Request, handler: Handler, route: Route) -> web.StreamResponse:
        """Probes and scrapes: the caller is checked like any other's."""
        try:
            response = await self._answer(request, handler, request.match_info, route)
        except Rejected as rejected:
            return route.failure(rejected, request[REQUEST_ID], None)
        await compress(request, response)
        return response

    async def _answer(
        self, request: web.Request, handler: Handler, match: AbstractMatchInfo, route: Route | None
    ) -> web.StreamResponse:
        if route is None:
            raise match.http_exception or web.HTTPNotFound
        request[ROUTE] = route
        if any(text_fault(value) for value in request.match_info.values()):
            raise Rejected(Code.ROUTE_UNKNOWN, Code.ROUTE_UNKNOWN.sentence, status=404)
        if route.access is not Access.PUBLIC:
            await self._authenticate[route.access](request)
        return await handler(request)


def _is_brief(route: Route | None) -> bool:
    return route is None or route.produces != EVENT_STREAM


def _report(rejected: Rejected, error: Exception) -> None:
    """Log a failure that is ours: a bug, or a dependency that is away. The caller's own are in the canonical line."""
    if rejected.status == 500:
        log.error("request.failed", exc_info=error)
    elif rejected.code == Code.UNAVAILABLE:
        log.warning("request.unavailable", exc_info=error)


def request_id_of(request: web.BaseRequest) -> str:
    """The caller's X-Request-Id where it is sane, else a new one."""
    given = request.headers.get("X-Request-Id")
    return given if given is not None and _SANE_ID.fullmatch(given) else f"req_{random.getrandbits(128):032x}"


async def add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: what every answer carries, streams included."""
    headers = response.headers
    headers["X-Request-Id"] = request.get(REQUEST_ID) or request_id_of(request)
    headers["Server"] = SERVER
    headers["X-Content-Type-Options"] = "nosniff"
    route = request.get(ROUTE)
    if route is not None and route.access is not Access.PUBLIC:
        headers.setdefault("Cache-Control", "no-store")
