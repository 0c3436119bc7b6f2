"""Live updates: server-sent events, the same over a WebSocket, and tickets for browsers.

Both begin with `ready`: what happens from then on is told. `reset` before it says that the position to go on from is not known any
more, so that something may be missing.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from functools import partial
from typing import Final

import orjson
from aiohttp import WSCloseCode, web

from services.gateway.live.access import PROTOCOL, TICKET_LIFE, Tickets
from services.gateway.live.hub import Hub
from services.gateway.live.reader import End, Reader
from services.gateway.live.streams import Entry, place_of
from services.gateway.payloads.events import EventsQuery, LiveUpdate, Ticket
from shared.clock import Clock
from shared.errors import Rejected
from shared.http.problem import Problem
from shared.http.requests import read_query
from shared.http.responses import json_response
from shared.http.routes import CLIENT_ID, TENANT_ID, Access, Route
from shared.ids import TenantId

TAG: Final = "Events"
LAST_ID: Final = "Last-Event-ID"
EVENT_STREAM: Final = "text/event-stream"
LONGEST_SECONDS: Final = 1_800.0
"""A connection ends then, and comes again: its key may have been revoked, and other processes have room."""
_HEADERS: Final = {
    "X-Accel-Buffering": "no",  # a proxy would hold back what is to come at once
    "Access-Control-Allow-Origin": "*",  # what opens a stream is in its request, never a cookie
}
_WRITE_SECONDS: Final = 10.0
"""Who takes nothing for so long is cut off."""
_LONGEST_ID: Final = 64
_MOST_RECEIVED: Final = 4_096
_PING_SECONDS: Final = 20.0
_CLOSINGS: Final = {
    End.SLOW: (WSCloseCode.TRY_AGAIN_LATER, b"too slow; go on after the last id"),
    End.LOST: (WSCloseCode.SERVICE_RESTART, b"begin anew"),
    End.AWAY: (WSCloseCode.TRY_AGAIN_LATER, b"go on after the last id"),
    End.DRAINING: (WSCloseCode.GOING_AWAY, b"go on after the last id"),
    None: (WSCloseCode.SERVICE_RESTART, b"go on after the last id"),
}
_DESCRIPTION: Final = (
    "Each update as it becomes known. The first event is `ready`; `reset` before it says that the position to go on from is not "
    "known any more: what is kept reaches an hour or 5,000 updates back. An update may come twice, under one `id` in its data. "
    "A connection ends after half an hour at most, and when it does not keep up; come again with the last `id`."
)


class EventRoutes:
    """The handlers, with what they need."""

    def __init__(self, hub: Hub, tickets: Tickets, clock: Clock) -> None:
        self._hub = hub
        self._tickets = tickets
        self._clock = clock

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                "/api/events",
                self.stream,
                "Follow your updates as server-sent events",
                TAG,
                responses={200: LiveUpdate, 429: Problem},
                query=EventsQuery,
                access=Access.LIVE,
                produces=EVENT_STREAM,
                description=f"{_DESCRIPTION} Browsers take a ticket: `new EventSource('/api/events?token=…')`.",
                curl_options=("-N",),
            ),
            Route(
                "GET",
                "/api/events/ws",
                self.socket,
                "Follow your updates over a WebSocket",
                TAG,
                responses={101: None, 426: Problem, 429: Problem},
                query=EventsQuery,
                access=Access.LIVE,
                description=f'{_DESCRIPTION} Each is a text frame, `{{"event", "id", "data"}}`. A key may stand among the '
                f"subprotocols, as `key.chq_…` beside `{PROTOCOL}`. The frame "
                "`place` has no update: its `id` is beyond those that were not chosen.",
                curl_options=(
                    "--http1.1 -N",
                    "-H 'Connection: Upgrade' -H 'Upgrade: websocket'",
                    "-H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg=='",
                ),
            ),
            Route(
                "POST",
                "/api/events/tickets",
                self.ticket,
                "Get a ticket for a browser's live updates",
                TAG,
                responses={201: Ticket},
                description=f"Good for {TICKET_LIFE.seconds} seconds, and for these two paths only.",
            ),
        ]

    async def ticket(self, request: web.Request) -> web.StreamResponse:
        expires_at = (self._clock.now() + TICKET_LIFE).replace(microsecond=0)
        token = self._tickets.make(TenantId(request[TENANT_ID]), request[CLIENT_ID], expires_at)
        return json_response(Ticket(token=token, expires_at=expires_at), status=201)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        query, after, tenant_id = _asked(request)
        response = web.StreamResponse(headers=_HEADERS)
        response.content_type = EVENT_STREAM
        response.charset = "utf-8"
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        async with self._hub.reading(tenant_id, after, partial(_is_gone, request)) as reader:
            await response.prepare(request)
            await _write(request, response, b"".join(_event(*one) for one in _greeting(reader)))
            async with aclosing(_lasting(self._hub.entries(tenant_id, reader))) as batches:
                async for entries in batches:
                    await _write(request, response, _lines(entries, query, reader.run))
        return response

    async def socket(self, request: web.Request) -> web.StreamResponse:
        query, after, tenant_id = _asked(request)
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,), heartbeat=_PING_SECONDS, max_msg_size=_MOST_RECEIVED, compress=False, timeout=_WRITE_SECONDS
        )
        if not socket.can_prepare(request):
            headers = {"Upgrade": "websocket", "Connection": "Upgrade"}
            raise Rejected("events.upgrade_needed", "Open a WebSocket here.", status=426, headers=headers)
        async with self._hub.reading(tenant_id, after, partial(_is_gone, request)) as reader:
            await socket.prepare(request)
            async with asyncio.TaskGroup() as group:
                listening = group.create_task(_until_left(socket, reader), name="gateway.live_socket")
                try:
                    await self._tell(socket, tenant_id, reader, query)
                except ConnectionError:
                    reader.end(End.LEFT)
                except TimeoutError:
                    _abort(request)
                await _close(request, socket, reader)
                listening.cancel()
        return socket

    async def _tell(self, socket: web.WebSocketResponse, tenant_id: TenantId, reader: Reader, query: EventsQuery) -> None:
        for event, place, body in _greeting(reader):
            await socket.send_frame(_frame(event, place, body), web.WSMsgType.TEXT)
        async with aclosing(_lasting(self._hub.entries(tenant_id, reader))) as batches:
            async for entries in batches:
                for frame in _frames(entries, query, reader.run):
                    async with asyncio.timeout(_WRITE_SECONDS):
                        await socket.send_frame(frame, web.WSMsgType.TEXT)


def _asked(request: web.Request) -> tuple[EventsQuery, str | None, TenantId]:
    query = read_query(request, EventsQuery)
    after = request.headers.get(LAST_ID) or query.after
    return query, None if after is None else after[:_LONGEST_ID], TenantId(request[TENANT_ID])


def _is_gone(request: web.Request) -> bool:
    transport = request.transport
    return transport is None or transport.is_closing()


def _greeting(reader: Reader) -> list[tuple[str, str, bytes]]:
    """The first events, with the place to go on from."""
    place = place_of(reader.start, reader.run)
    ready = ("ready", place, b"{}")
    return [("reset", place, b"{}"), ready] if reader.is_reset else [ready]


def _fits(entry: Entry, query: EventsQuery) -> bool:
    return (not query.types or entry.type in query.types) and (not query.number_id or entry.number_id in query.number_id)


async def _lasting(batches: AsyncGenerator[list[Entry], None]) -> AsyncGenerator[list[Entry], None]:
    """For as long as a connection may last; not all that began together end together."""
    loop = asyncio.get_running_loop()
    until = loop.time() + LONGEST_SECONDS * random.uniform(0.8, 1.0)  # noqa: S311  # spreads load, guards nothing
    async with aclosing(batches):
        async for entries in batches:
            yield entries
            if loop.time() > until:
                return


def _lines(entries: Sequence[Entry], query: EventsQuery, run: str) -> bytes:
    """Those that fit; the place goes on beyond those that do not, by an event without data, of which nobody is told."""
    lines = [_event(entry.type, place_of(entry.position, run), entry.body) for entry in entries if _fits(entry, query)]
    if entries and not _fits(entries[-1], query):
        lines.append(b"id: %b\n\n" % place_of(entries[-1].position, run).encode())
    return b"".join(lines) or b":\n\n"


def _event(event: str, place: str, body: bytes) -> bytes:
    """As the HTML standard has it. JSON holds no line breaks."""
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (place.encode(), event.encode(), body)


def _frames(entries: Sequence[Entry], query: EventsQuery, run: str) -> Iterator[bytes]:
    """As `_lines`: `place` goes on beyond those that do not fit."""
    for entry in entries:
        if _fits(entry, query):
            yield _frame(entry.type, place_of(entry.position, run), entry.body)
    if entries and not _fits(entries[-1], query):
        yield _frame("place", place_of(entries[-1].position, run), b"{}")


def _frame(event: str, place: str, body: bytes) -> bytes:
    return orjson.dumps({"event": event, "id": place, "data": orjson.Fragment(body)})


async def _write(request: web.Request, response: web.StreamResponse, data: bytes) -> None:
    """Raises `ConnectionError` where the other side has gone, or takes nothing."""
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await response.write(data)
    except TimeoutError:
        _abort(request)
        raise ConnectionResetError("takes nothing") from None


def _abort(request: web.Request) -> None:
    """Cut it: an orderly end would wait for what it does not take."""
    if request.transport is not None:
        request.transport.abort()


async def _close(request: web.Request, socket: web.WebSocketResponse, reader: Reader) -> None:
    """Say why. Who takes nothing cannot be told, and would hold its place for as long as the network lets it."""
    code, reason = _CLOSINGS.get(reader.ended, _CLOSINGS[None])
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            await socket.close(code=code, message=reason)
    except TimeoutError:
        _abort(request)


async def _until_left(socket: web.WebSocketResponse, reader: Reader) -> None:
    """Nothing that comes means anything, but that it ends does."""
    async for _ in socket:
        pass
    reader.end(End.LEFT)
