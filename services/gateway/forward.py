"""The doors to the inner services: a tenant's request is authenticated here, passed on, and answered by them through us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import aiohttp
import orjson
import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from shared.errors import Rejected
from shared.http.codes import Code
from shared.http.internal import CLIENT_HEADER, TENANT_HEADER
from shared.http.requests import BODY_SECONDS, read_body, read_idempotency_key
from shared.http.routes import CLIENT_ID, REQUEST_ID, ROUTE, TENANT_ID
from shared.telemetry.tracing import current_traceparent

log = structlog.get_logger(__name__)

CONNECT_SECONDS: Final = 2.0
PLACE_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 30.0
"""Longest wait for a part of an answer; how long all of it takes is its reader's business."""

FILE_SECONDS: Final = 900.0
"""Longest wait for the answer to a file, which may be on its way all that time."""

READ_TRIES: Final = 4
"""A service that is being replaced closes the connections that we keep, several maybe, just as we use them; what only reads is
asked again on another one."""
_CHUNK: Final = 65_536
_PASSED_IN: Final = (
    "Content-Type",
    "Idempotency-Key",
    "Accept",
    "If-None-Match",
    "If-Range",
    "Range",
    "Last-Event-ID",
    "Upload-Offset",
    "Upload-Complete",
)
_PASSED_OUT: Final = (
    "Content-Type",
    "Content-Disposition",
    "Content-Range",
    "Content-Security-Policy",
    "Cross-Origin-Resource-Policy",
    "Referrer-Policy",
    "Accept-Ranges",
    "Cache-Control",
    "ETag",
    "Location",
    "Retry-After",
    "Idempotent-Replayed",
    "X-Content-Type-Options",
    "Upload-Offset",
    "Upload-Length",
    "X-Accel-Buffering",
)
_CLOSED: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)
_BROKEN: Final = (TimeoutError, aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)


class _BodyBroke(Exception):
    """The caller's body broke off, or came too slowly."""


class _CallerLeft(Exception):
    """The caller closed the connection before the answer had ended: aiohttp says so as it says that the service did."""


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
        method = "GET" if request.method == "HEAD" else request.method
        tries_left = READ_TRIES if method == "GET" else 1
        while True:
            tries_left -= 1
            try:
                async with self._session.request(
                    method,
                    f"{self._url}{request.rel_url.raw_path_qs}",
                    data=body or None,
                    headers=self._headers(request),
                    allow_redirects=False,
                    skip_auto_headers=("Content-Type",),
                    timeout=_timeout(SILENT_SECONDS),
                ) as answer:
                    tries_left = 0
                    if answer.status == 401:  # not the tenant's key is wrong, but our token
                        log.error("door.refused", service=self._service)
                        raise self._unavailable()
                    return await _streamed(request, answer)
            except _CallerLeft:
                raise ConnectionResetError from None
            except _CLOSED:
                if not tries_left:
                    raise self._unavailable() from None
            except _BROKEN:
                raise self._unavailable() from None

    async def pass_through(self, request: web.Request, headers: Mapping[str, str] | None = None) -> web.StreamResponse:
        """Pass on a request whose body is a file: as it comes, never whole in memory, at the pace of whoever is slower. What the
        body may be, and how long it may take, the service says; `headers` go along.

        Raises `Rejected`: 413 where the body is announced beyond the route's limit, 503 where the service is away.
        """
        limit = request[ROUTE].body_limit_bytes
        if (request.content_length or 0) > limit:
            raise Rejected(Code.BODY_TOO_LARGE, f"The body is over this path's limit of {limit} bytes.", status=413)
        if request.headers.get("Content-Encoding", "identity") != "identity":
            raise Rejected(Code.MEDIA_TYPE_UNSUPPORTED, "Send the file without Content-Encoding.", status=415)
        read_idempotency_key(request)
        length = {"Content-Length": str(request.content_length)} if request.content_length is not None else {}
        try:
            async with self._session.request(
                request.method,
                f"{self._url}{request.rel_url.raw_path_qs}",
                data=_body(request) if request.can_read_body else None,
                headers={**self._headers(request), **length, **(headers or {})},
                allow_redirects=False,
                skip_auto_headers=("Content-Type",),
                timeout=_timeout(FILE_SECONDS),
            ) as answer:
                if answer.status == 401:
                    log.error("door.refused", service=self._service)
                    raise self._unavailable()
                return await _streamed(request, answer)
        except _CallerLeft:
            raise ConnectionResetError from None
        except _BodyBroke:
            raise Rejected(Code.REQUEST_INCOMPLETE, Code.REQUEST_INCOMPLETE.sentence, status=400) from None
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
                timeout=_timeout(SILENT_SECONDS),
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


async def _body(request: web.Request) -> AsyncIterator[bytes]:
    """The body as it comes; a caller who sends nothing for too long is given up."""
    while True:
        try:
            async with asyncio.timeout(BODY_SECONDS):
                part = await request.content.readany()
        except (TimeoutError, RequestPayloadError, aiohttp.ClientPayloadError, ConnectionError) as error:
            raise _BodyBroke from error
        if not part:
            return
        yield part


async def _streamed(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """A small answer in one piece, any other as it comes: events too, each at once. Of a length that is told, it is told on."""
    passed_out = {name: answer.headers[name] for name in _PASSED_OUT if name in answer.headers}
    if answer.status == 304 or (answer.content_length is not None and answer.content_length <= _CHUNK):
        return web.Response(status=answer.status, headers=passed_out, body=await answer.read())
    response = web.StreamResponse(status=answer.status, headers=passed_out)
    response.content_length = answer.content_length
    with _leaving():
        await response.prepare(request)
    if request.method == "HEAD":  # what it would be is known; the connection goes with what is left of it
        return response
    async for chunk in answer.content.iter_chunked(_CHUNK):
        with _leaving():
            await response.write(chunk)
    with _leaving():
        await response.write_eof()
    return response


@contextmanager
def _leaving() -> Iterator[None]:
    try:
        yield
    except ConnectionError as error:
        raise _CallerLeft from error


def _timeout(silent_seconds: float) -> aiohttp.ClientTimeout:
    """Also for a free connection nobody waits longer than `PLACE_SECONDS`."""
    return aiohttp.ClientTimeout(connect=PLACE_SECONDS, sock_connect=CONNECT_SECONDS, sock_read=silent_seconds)
