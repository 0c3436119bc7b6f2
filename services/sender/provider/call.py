"""One call to a provider: the mechanics of HTTP, the same for all of them.

One try, no redirects, no cookies; connect within 2 s, the whole within 10. What fails before the request is written surely did not
leave, what fails after it may have been taken. aiohttp's connector finds, opens, limits and keeps the connections; what is said on
them is `exchange.Exchange`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Final, Protocol

import aiohttp
from yarl import URL

from services.sender.domain.outcome import Outcome, PauseNumber, Retry, Unknown
from services.sender.provider.exchange import Exchange
from services.sender.provider.interface import Request
from shared.telemetry.tracing import is_sampled

CONNECT_SECONDS: Final = 2.0
TOTAL_SECONDS: Final = 10.0
UNREACHABLE_SECONDS: Final = 5.0
"""A provider that cannot be reached says nothing about the message: it is tried again until it leaves, is canceled or expires."""

_OPENING: Final = aiohttp.ClientTimeout(connect=TOTAL_SECONDS, sock_connect=CONNECT_SECONDS, ceil_threshold=TOTAL_SECONDS)
"""For a connection that is not open yet. The threshold keeps aiohttp from rounding up to whole seconds."""


class Judge(Protocol):
    """`Route.judge`."""

    def __call__(self, status: int, body: bytes, retry_after: str | None, /) -> Outcome: ...


async def send(
    session: aiohttp.ClientSession, request: Request, judge: Judge, on_departure: Callable[[], None], traceparent: str
) -> Outcome:
    """Call once, on a connection of the session's; `on_departure` is called once, right before the first byte leaves, or never.
    Every failure is an outcome; only cancellation and what else `on_departure` raises than `OSError` pass through."""
    deadline = asyncio.get_running_loop().time() + TOTAL_SECONDS
    if request.head is None:
        return PauseNumber("connection.token_unusable", "The access token is not one that HTTP can carry. Store it again.")
    wire = _wire(request.head, request.body, traceparent)
    has_departed = False
    try:
        connection, exchange = await _connect(session.connector, request.url)
        try:
            on_departure()
            has_departed = True
            answer = await exchange.ask(wire, deadline)
        except BaseException:
            exchange.abort()
            connection.close()
            raise
        if exchange.is_reusable():
            connection.release()
        else:
            connection.close()
    except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: no URL, or a host that no DNS can be asked for
        code = f"connection.{type(error).__name__}"
        return Unknown(code) if has_departed else Retry(code, UNREACHABLE_SECONDS, counted=False, sick=True)
    return judge(*answer)


async def _connect(connector: aiohttp.BaseConnector | None, url: URL) -> tuple[aiohttp.connector.Connection, Exchange]:
    """A connection that can carry a request now: between this and writing to it nothing may be awaited."""
    if connector is None:
        raise aiohttp.ClientConnectionError
    place = _place(url.origin())
    while True:
        connection = await connector.connect(place, [], _OPENING)
        transport = connection.transport
        protocol = transport.get_protocol() if transport is not None else None
        if not isinstance(protocol, Exchange):
            break
        if protocol.is_idle():
            return connection, protocol
        connection.close()
    if transport is None or transport.is_closing():
        connection.close()
        raise aiohttp.ServerDisconnectedError
    return connection, Exchange(transport)


@lru_cache(maxsize=256)
def _place(origin: URL) -> aiohttp.ClientRequest:
    """What the connector knows a place by; never sent."""
    return aiohttp.ClientRequest("POST", origin)


def _wire(head: bytes, body: bytes, traceparent: str) -> bytes:
    """The request as it is written."""
    own = f"traceparent: {traceparent}\r\n" if is_sampled(traceparent) else ""
    return b"%b%bContent-Length: %d\r\n\r\n%b" % (head, own.encode(), len(body), body)
