"""Stopping: what is in hand ends, what is idle closes, what hangs is cut when we are."""

from __future__ import annotations

import asyncio
import os
import socket
from pathlib import Path
from typing import Final

import pytest

from shared.http.client import open_client
from shared.http.server import PortTaken
from shared.systemd import FIRST_DESCRIPTOR, notify
from tests.integration.http.serving import KEY, Serving, read_answer, serving

NOTES: Final = f"GET /api/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()


async def connect(served: Serving) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", served.server.port)


async def refused(served: Serving) -> None:
    """Return once the port is closed."""
    async with asyncio.timeout(60):
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
    async with asyncio.timeout(60), serving() as served:
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


async def test_for_the_time_of_notice_requests_are_taken_each_the_last_of_its_connection() -> None:
    async with asyncio.timeout(60), serving(notice_seconds=3.0) as served:
        reader, writer = await connect(served)
        writer.write(NOTES)
        assert b"connection: close" not in (await read_answer(reader)).lower()

        served.stop.set()
        assert b'"status":"draining"' in await served.raw(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
        writer.write(NOTES)
        kept = await reader.read()
        assert (kept.startswith(b"HTTP/1.1 200 "), b"connection: close" in kept.lower()) == (True, True)
        fresh = await served.raw(NOTES)
        assert (fresh.startswith(b"HTTP/1.1 200 "), b"connection: close" in fresh.lower()) == (True, True)
        await served.run
        assert not await is_open(served)
    writer.close()
    await writer.wait_closed()


async def test_a_socket_that_was_handed_over_is_answered_on_and_outlives_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        port = ours.getsockname()[1]
        monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
        monkeypatch.setenv("LISTEN_FDS", str(ours.fileno() - FIRST_DESCRIPTOR + 1))
        async with asyncio.timeout(60), serving(port=port) as served:
            assert (await served.raw(NOTES)).startswith(b"HTTP/1.1 200 ")
        # Nobody answers now, and nobody is refused: who comes waits for the next one.
        reader, writer = await connect(served)
        writer.write(NOTES)
        async with asyncio.timeout(60), serving(port=port) as successor:
            assert (await read_answer(reader)).startswith(b"HTTP/1.1 200 ")
            assert successor.server.port == port
        writer.close()
        await writer.wait_closed()


async def test_a_socket_that_was_handed_to_another_process_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as ours:
        monkeypatch.setenv("LISTEN_PID", str(os.getppid()))
        monkeypatch.setenv("LISTEN_FDS", str(ours.fileno() - FIRST_DESCRIPTOR + 1))
        with pytest.raises(PortTaken):
            async with serving(port=ours.getsockname()[1]):
                pass


async def test_a_supervisor_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(address := str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        notify("READY=1")
        assert supervisor.recv(100) == b"READY=1"
    notify("READY=1")  # it is gone: nothing happens


async def test_a_drain_that_is_cancelled_cuts_what_hangs() -> None:
    async with asyncio.timeout(60), serving() as served:
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
    async with asyncio.timeout(60):
        for _ in range(20):
            async with serving() as served:
                reader, writer = await connect(served)
                writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
                assert b" 200 " in await read_answer(reader)
            writer.close()
