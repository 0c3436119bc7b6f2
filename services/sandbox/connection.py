"""One caller's connection: bytes into requests, answers into bytes, one after the other in the order they came.

A handler is a plain function, so a request costs no task. Only an answer that is to wait, hang, drip or fail holds the
connection; requests pipelined behind it wait their turn. A request that has come whole is served although its caller is gone,
as the provider does: only its answer is lost.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, cast

import httptools
import structlog

from services.sandbox.answers import Answer, Manner, Prompt, Reply, response
from services.sandbox.request import Request

log = structlog.get_logger(__name__)

Handler = Callable[[Request], Answer]
Spawn = Callable[[Coroutine[Any, Any, None]], object]
TakesFiles = Callable[[bytes], bool]
"""Whether a request for this target may bring a file."""

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 1024 * 1024
MAX_FILE_BYTES: Final = 102 * 1024 * 1024
"""Of a request that may bring a file: the greatest there is, and what stands around it."""
MAX_DISCARDED_BYTES: Final = 16 * MAX_BODY_BYTES
"""A body beyond its limit is read and thrown away for so long: closing earlier would reset the connection and lose the answer."""
MAX_PIPELINED: Final = 256
"""Requests that wait behind a held one before the connection is no longer read."""
DRIPS: Final = 20

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_LINGER_ZERO: Final = struct.pack("ii", 1, 0)
"""With a linger time of zero, closing sends RST."""


def takes_none(target: bytes) -> bool:  # noqa: ARG001  # none of them
    return False


class _Parts:
    """What the parser calls for the parts of a message: methods of C only, which is most of the parser's speed."""

    def __init__(self, on_message_complete: Callable[[], None]) -> None:
        self.headers: dict[bytes, bytes] = {}
        self.url: list[bytes] = []
        self.body: list[bytes] = []
        self.on_message_begin = self.headers.clear
        self.on_url = self.url.append
        self.on_header = self.headers.__setitem__
        self.on_body = self.body.append
        self.on_message_complete = on_message_complete


class Connection(asyncio.Protocol):
    """`leave` hears of its end; `spawn` runs what has to be waited for; loop time `active_at` saw its last bytes."""

    def __init__(
        self, handler: Handler, leave: Callable[[Connection], None], spawn: Spawn, takes_files: TakesFiles = takes_none
    ) -> None:
        self._handler = handler
        self._takes_files = takes_files
        self._leave = leave
        self._spawn = spawn
        self._loop = asyncio.get_running_loop()
        self._parts = _Parts(self._complete)
        self._parser = httptools.HttpRequestParser(self._parts)
        self._unfinished = 0
        """Bytes since the last whole message."""
        self._is_too_large = False
        self._out: list[bytes] = []
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._held: Reply | None = None
        self._is_awaiting = False
        self._timer: asyncio.TimerHandle | None = None
        self._keeps_alive = True
        """Whether the connection outlives the answer in hand."""
        self._is_draining = False
        self._is_half_closed = False
        self._is_gone = False
        self._is_clogged = False
        self.active_at = self._loop.time()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.active_at = self._loop.time()
        self._unfinished += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Nobody is upgraded here; the request itself was served, and what follows it is HTTP again.
            self._parser = httptools.HttpRequestParser(self._parts)
            if rest := data[upgrade.args[0] :]:
                self.data_received(rest)
        except httptools.HttpParserError:
            self._refuse(400)
        if self._unfinished:
            self._weigh()
        self._flush()

    def eof_received(self) -> bool:
        """A half-closed caller still gets the answers it waits for."""
        self._is_half_closed = True
        return self._is_busy

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # however it ended
        self._is_gone = True
        self._leave(self)
        if self._timer is not None:
            self._timer.cancel()
        self._held = None
        while self._waiting:
            self._serve(*self._waiting.popleft())
        self._out.clear()

    def pause_writing(self) -> None:
        self._is_clogged = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._is_clogged = False
        if len(self._waiting) < MAX_PIPELINED:
            self._transport.resume_reading()

    def drain(self) -> None:
        """Close once what is in hand has ended; what hangs ends now."""
        self._is_draining = True
        if self._held is not None and self._held.manner is Manner.HANG:
            self._reset()
        elif self._is_busy:
            self._keeps_alive = False
        elif not self._unfinished:
            self._transport.close()

    def close_if_idle(self, since: float) -> None:
        """Close a connection on which nothing has happened since then; cut one that does not even take its answers."""
        if self._is_busy or self.active_at > since:
            return
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    @property
    def in_flight(self) -> int:
        """Requests whose answers are not written."""
        return self._is_busy + len(self._waiting)

    @property
    def _is_busy(self) -> bool:
        return self._held is not None or self._is_awaiting

    def _complete(self) -> None:
        """The parser has a whole message. Must not raise: the parser would take it for a fault of the caller's."""
        parts = self._parts
        body = parts.body[0] if len(parts.body) == 1 else b"".join(parts.body)
        target = parts.url[0] if len(parts.url) == 1 else b"".join(parts.url)
        method = self._parser.get_method().decode()
        if self._is_too_large:
            body = b""
        request = Request(method, target.decode("latin-1"), parts.headers.copy(), body, is_too_large=self._is_too_large)
        # A client does not read the body that follows an answer to HEAD, so that must be the connection's last.
        keeps_alive = self._parser.should_keep_alive() and method != "HEAD"
        parts.url.clear()
        parts.body.clear()
        self._unfinished = 0
        self._is_too_large = False
        if self._held is None and not self._is_awaiting:
            self._serve(request, keeps_alive)
        else:
            self._waiting.append((request, keeps_alive))
            if len(self._waiting) >= MAX_PIPELINED:
                self._transport.pause_reading()

    def _serve(self, request: Request, keeps_alive: bool) -> None:  # noqa: FBT001  # as it stands in the line
        if not (self._keeps_alive or self._is_draining):
            return  # comes after what its caller called the last request
        self._keeps_alive = keeps_alive and not self._is_draining
        try:
            answer = self._handler(request)
        except Exception:
            log.exception("request.failed")
            answer = response(500, b"")
        if type(answer) is bytes:
            self._put(answer)
        else:
            self._hold(answer)

    def _put(self, wire: bytes) -> None:
        self._out.append(self._whole(wire))

    def _whole(self, wire: bytes) -> bytes:
        """The answer, which says so where it is the connection's last."""
        return wire if self._keeps_alive else wire.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)

    def _flush(self) -> None:
        out = self._out
        if self._is_gone:
            out.clear()
            return
        if out:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            out.clear()
        if not self._is_busy and (not self._keeps_alive or self._is_half_closed):
            self._transport.close()

    def _hold(self, answer: Answer) -> None:
        """Let the answer come in its manner; the requests behind it wait."""
        if isinstance(answer, bytes):
            self._put(answer)
            return
        if not isinstance(answer, Reply):
            self._is_awaiting = True
            self._spawn(self._await(answer))
            return
        if self._is_gone:
            return
        self._held = answer
        if answer.manner is Manner.DRIP:
            wire = self._whole(answer.wire)
            size = max(1, -(-len(wire) // DRIPS))
            self._drip(deque(wire[at : at + size] for at in range(0, len(wire), size)))
        elif (answer.manner is Manner.HANG and self._is_draining) or (
            answer.manner is Manner.RESET and not answer.after_seconds
        ):
            self._reset()
        else:
            end = self._answer if answer.manner is Manner.ANSWER else self._reset
            self._timer = self._loop.call_later(answer.after_seconds, end)

    async def _await(self, answer: Awaitable[Prompt]) -> None:
        try:
            reply: Prompt = await answer
        except Exception:
            log.exception("request.failed")
            reply = response(500, b"")
        self._is_awaiting = False
        self._hold(reply)
        self._go_on()

    def _answer(self) -> None:
        """The held answer is due."""
        if (reply := self._held) is not None:
            self._held = None
            self._put(reply.wire)
            if reply.sent is not None:
                reply.sent()
            self._go_on()

    def _drip(self, pieces: deque[bytes]) -> None:
        """Write the next piece of the held answer."""
        if (reply := self._held) is None:
            return
        self._out.append(pieces.popleft())
        if pieces:
            self._flush()
            self._timer = self._loop.call_later(reply.after_seconds / DRIPS, self._drip, pieces)
            return
        self._held = None
        if reply.sent is not None:
            reply.sent()
        self._go_on()

    def _go_on(self) -> None:
        """Serve what waited behind a held answer, up to the next one that is held."""
        while self._waiting and not self._is_busy:
            self._serve(*self._waiting.popleft())
        if self._is_gone:
            return
        if not self._is_clogged:
            self._transport.resume_reading()
        self._flush()

    def _reset(self) -> None:
        """Reset the connection (TCP RST)."""
        self._flush()
        sock = self._transport.get_extra_info("socket")
        if sock is not None and not self._is_gone:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._transport.abort()

    def _weigh(self) -> None:
        """Bounds for a message that is not whole yet."""
        body = self._parts.body
        if not body and not self._is_too_large:
            if self._unfinished > MAX_HEAD_BYTES:
                self._refuse(431)
            elif (expected := self._parts.headers.pop(b"Expect", None)) is not None and expected.lower() == b"100-continue":
                self._transport.write(_CONTINUE)
        elif self._unfinished > MAX_BODY_BYTES:
            limit = MAX_FILE_BYTES if self._takes_files(b"".join(self._parts.url)) else MAX_BODY_BYTES
            if self._unfinished > limit:
                self._is_too_large = True
                body.clear()
                if self._unfinished > limit + MAX_DISCARDED_BYTES:
                    self._refuse(413)

    def _refuse(self, status: int) -> None:
        """Answer what is no request, and hang up."""
        self._unfinished = 0
        if not self._keeps_alive:
            return  # comes after what its caller called the last request
        if self._is_busy:
            self._transport.abort()
            return
        self._keeps_alive = False
        self._put(response(status, b""))
