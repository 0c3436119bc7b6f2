"""The doors to the inner services: a tenant's request is authenticated here, passed on, and answered by them through us."""

from __future__ import annotations

from typing import Any, Final

import aiohttp
import orjson
import structlog
from aiohttp import web

from shared.errors import Rejected
from shared.http.internal import CLIENT_HEADER, TENANT_HEADER
from shared.http.requests import read_body, read_idempotency_key
from shared.http.routes import CLIENT_ID, REQUEST_ID, ROUTE, TENANT_ID
from shared.telemetry.tracing import current_traceparent

log = structlog.get_logger(__name__)

CONNECT_SECONDS: Final = 2.0
SILENT_SECONDS: Final = 30.0
"""Longest wait for a part of an answer; how long all of it takes is its reader's business."""

_CHUNK: Final = 65_536
_PASSED_IN: Final = ("Content-Type", "Idempotency-Key", "Accept")
_PASSED_OUT: Final = (
    "Content-Type",
    "Content-Disposition",
    "Cache-Control",
    "ETag",
    "Location",
    "Retry-After",
    "Idempotent-Replayed",
)
_BROKEN: Final = (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)


class Door:
    """Streams one service's answers through. `token` is the internal one; tenant and client go along in headers."""

    def __init__(self, session: aiohttp.ClientSession, service: str, url: str, token: str) -> None:
        self._session = session
        self._service = service
        self._url = url.rstrip("/")
        self._token = token

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Pass a request on as it is: path, query, and a body within the route's limit, which the service reads and checks.

        Raises `Rejected`: 503 where the service is away, and as `read_body` does.
        """
        body = await read_body(request, None if request[ROUTE].request is not None else ())
        read_idempotency_key(request)  # a malformed one is refused here, whatever the service makes of it
        try:
            async with self._session.request(
                "GET" if request.method == "HEAD" else request.method,
                f"{self._url}{request.rel_url.raw_path_qs}",
                data=body or None,
                headers=self._headers(request),
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
            ) as answer:
                if answer.status == 401:  # not the tenant's key is wrong, but our token
                    log.error("door.refused", service=self._service)
                    raise self._unavailable()
                return await _streamed(request, answer)
        except _BROKEN:
            raise self._unavailable() from None

    async def ask(self, request: web.Request, method: str, path: str, document: Any) -> tuple[int, Any]:
        """Ask the service something else in the name of the request's tenant; its status and its JSON. Raises `Rejected` 503 where
        it is away."""
        headers = {**self._headers(request), "Content-Type": "application/json"}
        headers.pop("Idempotency-Key", None)  # which is the request's own
        try:
            async with self._session.request(
                method,
                f"{self._url}{path}",
                data=None if document is None else orjson.dumps(document),
                headers=headers,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(sock_connect=CONNECT_SECONDS, sock_read=SILENT_SECONDS),
            ) as answer:
                if answer.status == 401:
                    log.error("door.refused", service=self._service)
                    raise self._unavailable()
                body = await answer.read()
                return answer.status, orjson.loads(body) if body else None
        except (*_BROKEN, orjson.JSONDecodeError):
            raise self._unavailable() from None

    def _headers(self, request: web.Request) -> dict[str, str]:
        headers = {
            "Authorization": f"Bearer {self._token}",
            TENANT_HEADER: request[TENANT_ID],
            CLIENT_HEADER: request[CLIENT_ID],
            "X-Request-Id": request[REQUEST_ID],
            "Accept-Encoding": "identity",
        }
        headers |= {name: request.headers[name] for name in _PASSED_IN if name in request.headers}
        if traceparent := current_traceparent():
            headers["traceparent"] = traceparent
        return headers

    def _unavailable(self) -> Rejected:
        return Rejected(
            f"{self._service}.unavailable",
            f"The {self._service} cannot be reached now; try again.",
            503,
            retry_after_seconds=1,
        )


async def _streamed(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """A small answer in one piece, any other as it comes."""
    passed_out = {name: answer.headers[name] for name in _PASSED_OUT if name in answer.headers}
    if answer.content_length is not None and answer.content_length <= _CHUNK:
        return web.Response(status=answer.status, headers=passed_out, body=await answer.read())
    response = web.StreamResponse(status=answer.status, headers=passed_out)
    await response.prepare(request)
    async for chunk in answer.content.iter_chunked(_CHUNK):
        await response.write(chunk)
    await response.write_eof()
    return response
