"""A TCP proxy in front of a server, which can fall silent, so that connections stay open and nothing gets through, stand still, so
that nobody reads what is written either, and keep from clients that the server has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit


class Proxy:
    def __init__(self, url: str) -> None:
        self.silent = False
        self.flowing = asyncio.Event()
        self.flowing.set()
        self.held = asyncio.Event()
        """Something has come that nobody is given before it flows again."""
        self.hides_ends = False
        self.ended = asyncio.Event()
        """The server has ended a connection, and all that it said before has been passed on."""
        self.url = url
        self._target = urlsplit(url)
        self._clients: set[asyncio.StreamWriter] = set()

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator[Proxy]:
        """`url` of the proxy is `url` with another port."""
        proxy = cls(url)
        server = await asyncio.start_server(proxy._connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        proxy.url = url.replace(f":{proxy._target.port}", f":{port}")
        try:
            yield proxy
        finally:
            server.close()

    def cut(self) -> None:
        """Reset the connections of all clients."""
        for writer in self._clients:
            writer.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection(self._target.hostname, self._target.port)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_and_close(reader, far_writer))
                await self._pass(far_reader, writer)
                self.ended.set()
                if not self.hides_ends:
                    writer.close()
        except OSError:
            pass  # nobody is there
        finally:
            self._clients.discard(writer)
            writer.close()

    async def _pass_and_close(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._pass(reader, writer)
        writer.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What comes while it is silent is dropped, and such a connection ends with the first that comes afterwards: TCP loses
        nothing in between."""
        is_broken = False
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.silent:
                    is_broken = True
                elif is_broken:
                    break
                else:
                    if not self.flowing.is_set():
                        self.held.set()
                        await self.flowing.wait()
                    writer.write(data)
                    await writer.drain()
