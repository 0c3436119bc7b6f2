"""A connection that its owner has closed does not outlive its loop."""

from __future__ import annotations

import asyncio
import socket


def test_what_was_closed_with_bytes_left_is_cut_with_its_loop() -> None:
    loop = asyncio.SelectorEventLoop()
    with socket.create_server(("127.0.0.1", 0)) as nobody_reads:

        async def close_with_bytes_left() -> asyncio.Transport:
            transport, _ = await loop.create_connection(asyncio.Protocol, *nobody_reads.getsockname())
            transport.write(b"x" * 50_000_000)
            transport.close()
            return transport

        transport = loop.run_until_complete(close_with_bytes_left())
        connection = transport.get_extra_info("socket")
        assert connection.fileno() != -1
        loop.close()
        assert connection.fileno() == -1


def test_what_a_server_has_accepted_is_cut_with_its_loop() -> None:
    loop = asyncio.SelectorEventLoop()
    accepted: list[asyncio.Transport] = []

    class Accepting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            accepted.append(transport)

    async def accept(client: socket.socket) -> None:
        server = await loop.create_server(Accepting, "127.0.0.1", 0)
        await loop.sock_connect(client, server.sockets[0].getsockname())
        while not accepted:
            await asyncio.sleep(0.01)
        server.close()

    with socket.socket() as client:
        client.setblocking(False)
        loop.run_until_complete(accept(client))
        connection = accepted[0].get_extra_info("socket")
        assert connection.fileno() != -1
        loop.close()
        assert connection.fileno() == -1
