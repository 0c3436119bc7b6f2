"""The HTTP server against callers of every manner, on both event loops: real sockets, bytes by hand."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop

from services.sandbox.answers import Answer, Manner, Reply, response
from services.sandbox.connection import MAX_BODY_BYTES, MAX_HEAD_BYTES
from services.sandbox.request import Request
from services.sandbox.server import GraphServer

DEADLINE_SECONDS = 40.0


@dataclass(eq=False)
class Scene:
    """A server whose handler answers with the path, in the manner that the path names, and notes what it served."""

    port: int = 0
    served: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    def handle(self, request: Request) -> Answer:
        self.served.append(request.path)
        self.bodies.append(request.body)
        self.arrived.set()
        if request.is_too_large:
            return response(413, b"too large")
        wire = response(200, request.path.encode() + request.body[:100])

        def sent() -> None:
            self.sent.append(request.path)

        match request.path.strip("/").split("-"):
            case ["late", *_]:
                return Reply(wire, after_seconds=0.05, sent=sent)
            case ["hang", *_]:
                return Reply(manner=Manner.HANG, after_seconds=60.0)
            case ["reset", *_]:
                return Reply(manner=Manner.RESET)
            case ["drip", *_]:
                return Reply(wire, Manner.DRIP, 0.05, sent)
            case ["await", *_]:
                return self._later(wire)
            case ["raise", *_]:
                raise RuntimeError
        return wire

    async def _later(self, wire: bytes) -> bytes:
        await asyncio.sleep(0.02)
        return wire

    async def until_served(self, count: int) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while len(self.served) < count:
                self.arrived.clear()
                await self.arrived.wait()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, sent: bytes) -> bytes:
        """All that comes back until the server closes."""
        reader, writer = await self.connect()
        writer.write(sent)
        async with asyncio.timeout(DEADLINE_SECONDS):
            got = await reader.read()
        writer.close()
        return got


@asynccontextmanager
async def serving() -> AsyncIterator[Scene]:
    scene = Scene()
    async with asyncio.timeout(3 * DEADLINE_SECONDS), AsyncExitStack() as stack:
        server = GraphServer(scene.handle, host="127.0.0.1", port=0)
        await server.open(stack)
        scene.port = server.port
        async with asyncio.TaskGroup() as group:
            group.create_task(server.run(scene.stop))
            try:
                yield scene
            finally:
                scene.stop.set()


Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a test's body on one loop or the other."""

    def run(body: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else asyncio.SelectorEventLoop
        with asyncio.Runner(loop_factory=factory) as runner:
            runner.run(body)

    return run


def ask(path: str, *, close: bool = False, body: bytes = b"") -> bytes:
    return (
        f"POST /{path} HTTP/1.1\r\nHost: x\r\n{'Connection: close' if close else 'X-No: 1'}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode() + body


def bodies(got: bytes) -> list[str]:
    """The paths in a row of answers."""
    return [part.split(b"\r\n\r\n")[1].decode() for part in got.split(b"HTTP/1.1 ")[1:]]


def vanish(writer: asyncio.StreamWriter) -> None:
    """Reset the connection from the caller's side."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_pipelined_requests_are_answered_in_their_order(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            paths = ["a", "late-1", "b", "await-1", "c", "drip-1", "d", "raise-1", "late-2"]
            got = await scene.exchange(b"".join(map(ask, paths)) + ask("end", close=True))
            assert bodies(got) == ["/a", "/late-1", "/b", "/await-1", "/c", "/drip-1", "/d", "", "/late-2", "/end"]
            assert got.count(b"Connection: close") == 1
            assert b"500 Internal Server Error" in got
            assert scene.sent == ["/late-1", "/drip-1", "/late-2"]

    run(body())


def test_what_follows_the_last_request_is_not_served(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            assert bodies(await scene.exchange(ask("late-1", close=True) + ask("more"))) == ["/late-1"]
            assert scene.served == ["/late-1"]

    run(body())


def test_a_chunked_body_is_put_together(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            chunked = b"POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n"
            await scene.exchange(chunked + ask("end", close=True))
            assert scene.bodies[0] == b"abcdefgh"

    run(body())


def test_http_1_0_without_keep_alive_is_closed(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            assert bodies(await scene.exchange(b"GET /old HTTP/1.0\r\n\r\n")) == ["/old"]

    run(body())


def test_a_half_closed_caller_gets_its_answer(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            for path in ("a", "late-1", "await-1", "drip-1"):
                reader, writer = await scene.connect()
                writer.write(ask(path))
                writer.write_eof()
                assert bodies(await reader.read()) == [f"/{path}"]
                writer.close()

    run(body())


def test_a_request_that_came_whole_is_served_although_its_caller_is_gone(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            for sent in (ask("late-1") + ask("a"), ask("b"), ask("hang-1") + ask("c"), ask("await-1") + ask("d")):
                before = len(scene.served)
                _, writer = await scene.connect()
                writer.write(sent)
                await asyncio.sleep(0)
                vanish(writer)
                await scene.until_served(before + sent.count(b"POST"))
            assert scene.served == ["/late-1", "/a", "/b", "/hang-1", "/c", "/await-1", "/d"]

    run(body())


def test_half_a_request_is_never_served(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            for _ in range(3):
                _, writer = await scene.connect()
                writer.write(ask("half", body=b"0123456789")[:-1])
                writer.close()
                await writer.wait_closed()
            await scene.exchange(ask("end", close=True))
            assert scene.served == ["/end"]

    run(body())


def test_a_body_beyond_the_limit_is_thrown_away_and_the_connection_goes_on(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            got = await scene.exchange(ask("big", body=b"x" * (3 * MAX_BODY_BYTES)) + ask("end", close=True))
            assert bodies(got) == ["too large", "/end"]
            assert scene.bodies[0] == b""

    run(body())


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET /" + b"x" * 2 * MAX_HEAD_BYTES, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * MAX_HEAD_BYTES, b"431"),
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n", b"400"),
    ],
    ids=["long target", "long head", "nonsense", "length"],
)
def test_what_is_no_request_is_refused(run: Run, sent: bytes, status: bytes) -> None:
    async def body() -> None:
        async with serving() as scene:
            reader, writer = await scene.connect()
            with contextlib.suppress(ConnectionError):
                writer.write(sent)
            assert (await reader.readline()).split()[1] == status
            writer.close()
            assert scene.served == []

    run(body())


def test_expect_100_continue(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            reader, writer = await scene.connect()
            writer.write(b"POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"abc" + ask("end", close=True))
            assert bodies((await reader.read()).removeprefix(b"\r\n")) == ["/eabc", "/end"]
            writer.close()

    run(body())


def test_a_caller_that_offers_http_2_is_served_http_1(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            upgrade = b"GET /u HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n"
            assert bodies(await scene.exchange(upgrade + ask("end", close=True))) == ["/u", "/end"]

    run(body())


def test_a_reset_is_a_reset(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene:
            with pytest.raises(ConnectionResetError):
                await scene.exchange(ask("reset-1"))

    run(body())


def test_a_stop_ends_what_hangs_and_waits_for_what_is_in_hand(run: Run) -> None:
    async def body() -> None:
        async with serving() as scene, asyncio.TaskGroup() as group:
            idle_reader, idle = await scene.connect()
            late = group.create_task(scene.exchange(ask("late-1")))
            hanging_reader, hanging = await scene.connect()
            hanging.write(ask("hang-1"))
            await scene.until_served(2)
            scene.stop.set()
            with pytest.raises(ConnectionResetError):
                await hanging_reader.read()
            got = await late
            assert bodies(got) == ["/late-1"]
            assert b"Connection: close" in got
            assert await idle_reader.read() == b""
            idle.close()
            hanging.close()

    run(body())


def test_a_stopped_server_takes_no_new_caller(run: Run) -> None:
    async def body() -> None:
        async with AsyncExitStack() as stack:
            scene = Scene()
            server = GraphServer(scene.handle, host="127.0.0.1", port=0)
            await server.open(stack)
            stopped = asyncio.Event()
            stopped.set()
            await server.run(stopped)
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", server.port)

    run(body())
