"""Stopping: what is in hand ends, what is idle closes, what hangs is cut when we are."""

from __future__ import annotations

import asyncio

import pytest

from shared.http.client import open_client
from tests.integration.http.serving import Serving, read_answer, serving


async def connect(served: Serving) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", served.server.port)


async def refused(served: Serving) -> None:
    """Return once the port is closed."""
    async with asyncio.timeout(5):
        while await is_open(served):
            pass


async def is_open(served: Serving) -> bool:
    try:
        _, writer = await connect(served)
        writer.close()
        await writer.wait_closed()
    except ConnectionError:
        return False
    return True


async def test_a_request_in_hand_ends_and_idle_connections_close() -> None:
    async with asyncio.timeout(10), serving() as served:
        idle_reader, idle_writer = await connect(served)
        idle_writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await read_answer(idle_reader)
        busy_reader, busy_writer = await connect(served)
        busy_writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.gate.entered.wait()

        served.stop.set()
        assert await idle_reader.read() == b""
        await refused(served)
        assert not served.run.done()
        served.gate.released.set()
        answer = await busy_reader.read()
        await served.run

    assert b'{"waited":true}' in answer
    assert b"connection: close" in answer.lower()
    idle_writer.close()
    busy_writer.close()


async def test_a_drain_that_is_cancelled_cuts_what_hangs() -> None:
    async with asyncio.timeout(10), serving() as served:
        reader, writer = await connect(served)
        writer.write(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
        await served.gate.entered.wait()
        served.stop.set()
        await refused(served)
        served.run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await served.run

        assert await reader.read() == b""
    writer.close()


async def test_not_ready_before_it_runs_and_the_port_is_given_back_after_a_failed_start() -> None:
    async with serving() as served:
        served.stop.set()
        await served.run
        server = served.server
        await server.start()
        async with open_client() as client, client.get(f"http://127.0.0.1:{server.port}/ready") as answer:
            assert answer.status == 503
        await server.close()
        await server.close()
        await refused(served)


async def test_started_and_stopped_many_times() -> None:
    async with asyncio.timeout(20):
        for _ in range(20):
            async with serving() as served:
                reader, writer = await connect(served)
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 " in await read_answer(reader)
            writer.close()
