"""What the sandbox measures: its requests, and the page that shows them.

Around its one handler, because every microsecond of a send is multiplied by its rate: a request costs it about one.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable
from functools import lru_cache
from time import perf_counter
from typing import Final

from pydantic import SecretStr

from services.sandbox.answers import Answer, Manner, Prompt, Reply, response
from services.sandbox.connection import Handler
from services.sandbox.request import Request
from services.sandbox.routes.accounts import ACCOUNT_EDGES, APP_EDGES
from services.sandbox.routes.paths import segments_of
from services.sandbox.server import GraphServer
from shared.http.scraping import PATH
from shared.telemetry.catalogue import (
    HTTP_CONNECTIONS,
    HTTP_REQUEST_DURATION_SECONDS,
    HTTP_REQUESTS_IN_FLIGHT,
    HTTP_REQUESTS_TOTAL,
)
from shared.telemetry.metrics import CONTENT_TYPE, Metrics, Reading

NO_ANSWER: Final = "none"
"""The status of requests whose connection is reset or left hanging, as behaviour has it."""
_EDGES: Final = frozenset({"messages", "marketing_messages", "media", "message_templates"} | ACCOUNT_EDGES | APP_EDGES)


class Measured:
    """The handler, measured; it answers `/metrics` itself, to whoever shows the token, or to everybody where that is empty."""

    def __init__(self, handler: Handler, metrics: Metrics, token: SecretStr) -> None:
        self._handler = handler
        self._metrics = metrics
        self._token = token.get_secret_value()

    def handle(self, request: Request) -> Answer:
        """A request's answer."""
        route = _route_of(request.path)
        if route is None:
            return self._scrape(request) if request.path == PATH else self._handler(request)
        began = perf_counter()
        answer = self._handler(request)
        if isinstance(answer, bytes) or isinstance(answer, Reply):  # noqa: SIM101  # a union takes three times as long
            self._note(request.method, route, answer, began)
            return answer
        return self._awaited(request.method, route, answer, began)

    def watch(self, server: GraphServer) -> None:
        """Have the page tell of its connections too."""

        async def http() -> list[Reading]:
            return [
                Reading(HTTP_CONNECTIONS, server.connections),
                Reading(HTTP_REQUESTS_IN_FLIGHT, server.in_flight),
            ]

        self._metrics.source("http", http)

    async def _awaited(self, method: str, route: str, awaited: Awaitable[Prompt], began: float) -> Prompt:
        answer: Prompt = await awaited
        self._note(method, route, answer, began)
        return answer

    def _note(self, method: str, route: str, answer: Prompt, began: float) -> None:
        """How it is answered is known here, though it may be held a while before it goes."""
        seconds, wire = perf_counter() - began, answer
        if isinstance(answer, Reply):
            if answer.manner in (Manner.HANG, Manner.RESET):
                self._metrics.count(HTTP_REQUESTS_TOTAL, method, route, NO_ANSWER)
                return
            seconds, wire = seconds + answer.after_seconds, answer.wire
        assert isinstance(wire, bytes)
        self._metrics.count(HTTP_REQUESTS_TOTAL, method, route, wire[9:12].decode())  # after `HTTP/1.1 `
        self._metrics.observe(HTTP_REQUEST_DURATION_SECONDS, seconds, method, route)

    async def _scrape(self, request: Request) -> Prompt:
        given = (request.header(b"Authorization") or "").encode()
        if request.method != "GET":
            return response(405, b"", headers="Allow: GET\r\n")
        if self._token and not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            return response(401, b"", headers="WWW-Authenticate: Bearer\r\n")
        return response(200, await self._metrics.text(), CONTENT_TYPE)


@lru_cache(maxsize=4096)
def _route_of(path: str) -> str | None:
    """The path with its ids left out, one of few; None for probes and scrapes."""
    match segments_of(path):
        case ["health" | "ready" | "metrics"]:
            return None
        case ["control" | "2010-04-01" | "oauth" | "whatsapp_business" as first, *_]:
            return f"/{first}"
        case [_, edge, *_]:
            return f"/{{node}}/{edge}" if edge in _EDGES else "/{node}/{edge}"
        case _:
            return "/{node}"
