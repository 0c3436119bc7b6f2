"""The time that an answer has, where requests follow each other on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from services.sender.provider.exchange import Exchange

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
STEP_SECONDS = 1.0


@asynccontextmanager
async def answering_after(*seconds: float | None) -> AsyncIterator[Exchange]:
    """A peer that answers each request after so long; None: never."""
    waits = iter(seconds)

    class Peer(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.write: Callable[[bytes], None] = transport.write

        def data_received(self, _: bytes) -> None:
            if (wait := next(waits)) is not None:
                asyncio.get_running_loop().call_later(wait, self.write, ANSWER)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(Peer, "127.0.0.1", 0)
    transport, _ = await loop.create_connection(asyncio.Protocol, *server.sockets[0].getsockname())
    exchange = Exchange(transport)
    try:
        yield exchange
    finally:
        exchange.abort()
        server.close()


async def ask(exchange: Exchange, seconds: float) -> int:
    async with asyncio.timeout(20 * STEP_SECONDS):
        return (await exchange.ask(b"x", asyncio.get_running_loop().time() + seconds)).status


async def test_a_later_request_has_its_own_time() -> None:
    async with answering_after(0, 3 * STEP_SECONDS) as exchange:
        assert await ask(exchange, STEP_SECONDS) == 200
        assert await ask(exchange, 10 * STEP_SECONDS) == 200


@pytest.mark.parametrize("before", [STEP_SECONDS, 60 * STEP_SECONDS], ids=["after a shorter one", "after a longer one"])
async def test_a_later_request_has_no_more_than_its_own_time(before: float) -> None:
    loop = asyncio.get_running_loop()
    async with answering_after(0, None) as exchange:
        assert await ask(exchange, before) == 200
        began = loop.time()
        with pytest.raises(TimeoutError):
            await ask(exchange, 2 * STEP_SECONDS)
        assert 1.9 * STEP_SECONDS <= loop.time() - began < 15 * STEP_SECONDS


async def test_time_that_runs_out_between_two_requests_harms_neither() -> None:
    async with answering_after(0, 0) as exchange:
        assert await ask(exchange, STEP_SECONDS) == 200
        await asyncio.sleep(2 * STEP_SECONDS)
        assert exchange.is_idle()
        assert await ask(exchange, STEP_SECONDS) == 200
