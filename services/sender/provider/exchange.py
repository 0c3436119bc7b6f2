"""What is said on one connection: a request goes out in one write, its answer comes in, then the next.

aiohttp opens and keeps the connection; its `ClientSession` on top would cost three times the CPU (docs/decisions/0008). Whatever
does not belong to the answer of the request in hand spoils the connection: it carries nothing any more.
"""

from __future__ import annotations

import asyncio
import select
from typing import Final, NamedTuple

import aiohttp
import httptools

ANSWER_LIMIT_BYTES: Final = 65_536
"""Head, body and framing. A longer answer is cut; no real one is."""

_OF_A_LENGTH: Final = frozenset({b"content-length", b"transfer-encoding"})


class BadAnswer(aiohttp.ClientError):
    """What came is no answer in HTTP."""


class Answer(NamedTuple):
    """A final answer, never a 1xx. `body` may be cut."""

    status: int
    body: bytes
    retry_after: str | None


class Exchange(asyncio.Protocol):
    """The protocol of a connection, in place of the one it was opened with, which still hears of its end."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._opener = transport.get_protocol()
        self._unread = select.poll()
        self._unread.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._waiter: asyncio.Future[Answer] | None = None
        # One timer for many requests: to set and cancel one costs 0.7 µs.
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = 0.0
        self._is_spoilt = False
        self._keeps_alive = False
        self._received_bytes = 0
        self._status = 0
        """Of the message being read; 0 until its headers are complete."""
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        # The parser takes its callbacks when it is made; these two, called most, are methods of C.
        self.on_header = self._headers.__setitem__
        self.on_body = self._body.append
        self._parser = httptools.HttpResponseParser(self)
        transport.set_protocol(self)

    def is_idle(self) -> bool:
        """False where the peer has closed or said something meanwhile, even if the loop has not read it yet: a request written now
        would be lost, and nobody could tell."""
        return not (self._is_spoilt or self._transport.is_closing() or self._unread.poll(0))

    def is_reusable(self) -> bool:
        """Whether the connection may carry another request after an answer."""
        return self._keeps_alive and not self._is_spoilt

    async def ask(self, request: bytes, deadline: float) -> Answer:
        """Write the whole request at once and await its answer until `deadline`, a loop time.

        Raises `TimeoutError`, another `OSError`, or `aiohttp.ClientError`. `abort` the exchange after any exception.
        """
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        self._received_bytes = self._status = 0
        self._deadline = deadline
        if self._timer is not None and deadline < self._timer.when():
            self._timer.cancel()
            self._timer = None
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._look_at_time)
        try:
            self._transport.write(request)
            return await waiter
        finally:
            self._waiter = None

    def abort(self) -> None:
        """Close at once, with whatever is still to be written or read."""
        self._is_spoilt = True
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        waiter = self._waiter
        if waiter is None or waiter.done():
            self.abort()
            return
        self._received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self._is_spoilt = True
            self._fail(BadAnswer())
        if self._received_bytes > ANSWER_LIMIT_BYTES and not waiter.done():
            self._is_spoilt = True
            if self._status >= 200:
                self._finish()
            else:
                self._fail(BadAnswer())

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._opener.connection_lost(exc)
        self._is_spoilt = True
        if exc is None and self._status >= 200 and _OF_A_LENGTH.isdisjoint(map(bytes.lower, self._headers)):
            self._finish()  # such a body lasts until the connection ends
        else:
            self._fail(exc if isinstance(exc, OSError) else aiohttp.ServerDisconnectedError())

    def _look_at_time(self) -> None:
        self._timer = None
        if self._waiter is None:
            return
        if self._loop.time() < self._deadline:  # of a later request than the one it was set for
            self._timer = self._loop.call_at(self._deadline, self._look_at_time)
        else:
            self._fail(TimeoutError())

    def on_message_begin(self) -> None:
        if self._waiter is None or self._waiter.done():
            self._is_spoilt = True
        self._status = 0
        self._headers.clear()
        self._body.clear()

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self._keeps_alive = self._parser.should_keep_alive()

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self._finish()

    def _finish(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            after = None
            for name, value in self._headers.items():
                if name.lower() == b"retry-after":
                    after = value.decode("latin-1")
                    break
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            self._waiter.set_result(Answer(self._status, body, after))

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)
