"""A provider's server that does what no real one does on demand: reads a request, then behaves as it is told."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LINGER_OFF: Final = struct.pack("ii", 1, 0)


class Server:
    """What came, and where it listens. One request a connection, unless it keeps them alive."""

    def __init__(self, conduct: Conduct, *, keeps_alive: bool) -> None:
        self.conduct = conduct
        self.keeps_alive = keeps_alive
        self.connections: list[asyncio.StreamWriter] = []
        self.left = asyncio.Event()
        """Set when a connection has ended."""
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._take(reader, writer)
            while self.keeps_alive:
                await self._take(reader, writer)
        self.left.set()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length"))
        self.heads.append(head)
        self.bodies.append(await reader.readexactly(int(length.split(b":")[1])))
        await self.conduct(reader, writer)


@asynccontextmanager
async def serving(conduct: Conduct, *, keeps_alive: bool = False, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on a free port of this machine."""
    made = Server(conduct, keeps_alive=keeps_alive)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    made.url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


def answering(status: int, body: bytes, *headers: str) -> Conduct:
    """Takes the request and answers so."""

    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return conduct


def writing(answer: bytes) -> Conduct:
    """Takes the request and writes these bytes."""

    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()

    return conduct


async def hanging(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes the request and says nothing."""
    await reader.read()


async def resetting(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the request and cuts the connection."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_OFF)
    writer.transport.abort()


def dripping(first: bytes = b"") -> Conduct:
    """Begins an answer that never ends, a byte at a time."""

    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + first)
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    return conduct


def endless(written: list[int], *, length: bool) -> Conduct:
    """Answers with a body of 50 MB, counting in `written` what was taken from it."""

    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        promised = b"Content-Length: 999999999" if length else b"Connection: close"
        writer.write(b"HTTP/1.1 200 OK\r\n" + promised + b"\r\n\r\n")
        while sum(written) < 50_000_000:
            writer.write(b" " * 65_536)
            written.append(65_536)
            await writer.drain()

    return conduct
