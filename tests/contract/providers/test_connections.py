"""One call after the other on the same connection: when it is used again, when it is not, and what an answer may look like."""

from __future__ import annotations

import asyncio
import os
import select
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final

import aiohttp
import pytest
from yarl import URL

from services.sender.domain.outcome import Outcome, Retry, Sent, Unknown
from services.sender.provider import call
from services.sender.provider.exchange import ANSWER_LIMIT_BYTES
from services.sender.provider.interface import Request
from services.sender.provider.routes import open_route
from shared.http.client import open_client
from tests.contract.providers.server import answering, hanging, serving, writing
from tests.contract.providers.subjects import ATTEMPT, CLOUD_API, TEXT, TO
from tests.support.certificate import contexts

SENT: Final = Sent(CLOUD_API.message_id)
BODY: Final = CLOUD_API.sent[1]
WHOLE: Final = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
DEADLINE_SECONDS: Final = 40.0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_client() as opened, asyncio.timeout(DEADLINE_SECONDS):
        yield opened


async def sending(session: aiohttp.ClientSession, url: str, on_departure: Callable[[], None] = lambda: None) -> Outcome:
    route = open_route(CLOUD_API.address(url), "token")
    request = route.request(ATTEMPT, TO, TEXT)
    assert isinstance(request, Request)
    return await call.send(session, request, route.judge, on_departure, "")


async def test_calls_share_a_connection(session: aiohttp.ClientSession) -> None:
    async with serving(answering(*CLOUD_API.sent), keeps_alive=True) as server:
        assert [await sending(session, server.url) for _ in range(5)] == [SENT] * 5
        assert (len(server.connections), len(server.bodies)) == (1, 5)


async def test_calls_at_once_have_a_connection_each_and_no_more_than_the_limit() -> None:
    async with open_client(limit=3) as session, serving(answering(*CLOUD_API.sent), keeps_alive=True) as server:
        async with asyncio.timeout(DEADLINE_SECONDS):
            assert await asyncio.gather(*(sending(session, server.url) for _ in range(12))) == [SENT] * 12
        assert len(server.connections) == 3


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 100 Continue\r\n\r\n" + WHOLE,
        b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + WHOLE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\nTrailer: 1\r\n\r\n"
        % (BODY[:5], len(BODY) - 5, BODY[5:]),
        b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\ncontent-length: %d\r\n\r\n%b" % (len(BODY), BODY),
    ],
    ids=["100", "103", "chunked", "1.0"],
)
async def test_an_answer_of_any_form_leaves_its_connection_to_the_next(session: aiohttp.ClientSession, answer: bytes) -> None:
    async with serving(writing(answer), keeps_alive=True) as server:
        assert [await sending(session, server.url) for _ in range(3)] == [SENT] * 3
        assert len(server.connections) == 1


@pytest.mark.parametrize("step", [1, 7])
async def test_an_answer_in_pieces_is_an_answer(session: aiohttp.ClientSession, step: int) -> None:
    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(WHOLE), step):
            writer.write(WHOLE[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)

    async with serving(conduct, keeps_alive=True) as server:
        assert [await sending(session, server.url) for _ in range(2)] == [SENT] * 2
        assert len(server.connections) == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_is_over_with_its_head(session: aiohttp.ClientSession, status: int) -> None:
    async with serving(writing(b"HTTP/1.1 %d X\r\n\r\n" % status), keeps_alive=True) as server:
        assert [await sending(session, server.url) for _ in range(2)] == [Unknown(f"provider.http_{status}")] * 2
        assert len(server.connections) == 1


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_a_body_without_a_length_lasts_until_the_connection_ends(session: aiohttp.ClientSession, version: bytes) -> None:
    async with serving(writing(b"HTTP/%b 200 OK\r\n\r\n%b" % (version, BODY))) as server:
        assert [await sending(session, server.url) for _ in range(2)] == [SENT] * 2
        assert len(server.connections) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n" + WHOLE.partition(b"\r\n")[2],
        b"HTTP/1.0 200 OK\r\n" + WHOLE.partition(b"\r\n")[2],
        WHOLE + WHOLE,
        WHOLE + WHOLE.replace(b"wamid.x", b"wamid.y"),
        WHOLE + b"HTTP/1.1 200",
        WHOLE + b"nonsense",
    ],
    ids=["close", "1.0", "twice", "another", "half another", "nonsense"],
)
async def test_a_connection_that_ends_or_says_too_much_is_not_used_again(session: aiohttp.ClientSession, answer: bytes) -> None:
    async with serving(writing(answer), keeps_alive=True) as server:
        assert [await sending(session, server.url) for _ in range(3)] == [SENT] * 3
        assert len(server.connections) == 3


@pytest.mark.parametrize("late", [WHOLE.replace(b"wamid.x", b"wamid.late"), b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"\r\n"])
async def test_what_nobody_asked_for_is_nobodys_answer(session: aiohttp.ClientSession, late: bytes) -> None:
    async with serving(answering(*CLOUD_API.sent), keeps_alive=True) as server:
        assert await sending(session, server.url) == SENT
        server.connections[0].write(late)
        await server.left.wait()
        assert await sending(session, server.url) == SENT
        assert (len(server.connections), len(server.bodies)) == (2, 2)


async def test_a_connection_that_was_closed_while_idle_carries_nothing(session: aiohttp.ClientSession) -> None:
    async with serving(answering(*CLOUD_API.sent), keeps_alive=True) as server:
        assert await sending(session, server.url) == SENT
        server.connections[0].close()
        await server.left.wait()
        assert await sending(session, server.url) == SENT
        assert (len(server.connections), len(server.bodies)) == (2, 2)


@pytest.mark.parametrize("last", [b"", b"\r\n"], ids=["closed", "spoken on"])
async def test_not_even_if_the_loop_has_not_read_it_yet(session: aiohttp.ClientSession, last: bytes) -> None:
    async with serving(answering(*CLOUD_API.sent), keeps_alive=True) as server:
        assert await sending(session, server.url) == SENT
        ours = (await connection_of(session, server.url)).get_extra_info("socket").fileno()
        # Past both loops, and nothing is awaited until the next call.
        with socket.socket(fileno=os.dup(server.connections[0].get_extra_info("socket").fileno())) as theirs:
            if last:
                theirs.send(last)
            else:
                theirs.shutdown(socket.SHUT_RDWR)
        unread = select.poll()
        unread.register(ours, select.POLLIN)
        assert unread.poll(DEADLINE_SECONDS * 1000)
        assert await sending(session, server.url) == SENT
        assert (len(server.connections), len(server.bodies)) == (2, 2)


async def connection_of(session: aiohttp.ClientSession, url: str) -> asyncio.Transport:
    """The transport of the connection that the next call will have."""
    assert session.connector is not None
    connection = await session.connector.connect(aiohttp.ClientRequest("POST", URL(url)), [], call._OPENING)
    transport = connection.transport
    assert transport is not None
    connection.release()
    return transport


@pytest.mark.parametrize("first", [WHOLE, b"HTTP/1.1 204 No Content\r\n\r\n"], ids=["200", "204"])
async def test_a_call_that_a_kept_connection_loses_is_unknown_and_not_repeated(
    session: aiohttp.ClientSession, first: bytes
) -> None:
    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(server.bodies) == 1:
            writer.write(first)
        else:
            writer.close()

    async with serving(conduct, keeps_alive=True) as server:
        await sending(session, server.url)
        assert await sending(session, server.url) == Unknown("connection.ServerDisconnectedError")
        assert (len(server.connections), len(server.bodies)) == (1, 2)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + BODY,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(BODY), BODY),
    ],
    ids=["length", "chunked"],
)
async def test_an_answer_that_broke_off_says_nothing_even_if_it_can_be_read(
    session: aiohttp.ClientSession, answer: bytes
) -> None:
    async with serving(writing(answer)) as server:
        assert await sending(session, server.url) == Unknown("connection.ServerDisconnectedError")


async def test_each_answer_has_the_whole_limit(session: aiohttp.ClientSession) -> None:
    padded = BODY + b" " * (ANSWER_LIMIT_BYTES // 2)
    async with serving(answering(200, padded), keeps_alive=True) as server:
        assert [await sending(session, server.url) for _ in range(4)] == [SENT] * 4
        assert len(server.connections) == 1


async def test_a_cancelled_call_closes_its_connection(session: aiohttp.ClientSession) -> None:
    async with serving(hanging) as server, asyncio.TaskGroup() as group:
        task = group.create_task(sending(session, server.url))
        while not server.bodies:
            await asyncio.sleep(0)
        task.cancel()
        await server.left.wait()
    assert task.cancelled()


async def test_a_timed_out_call_closes_its_connection(session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "TOTAL_SECONDS", 1.0)
    async with serving(hanging) as server:
        assert await sending(session, server.url) == Unknown("connection.TimeoutError")
        await server.left.wait()


async def test_nothing_leaves_where_the_departure_cannot_be_written_down(session: aiohttp.ClientSession) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    async with serving(answering(*CLOUD_API.sent), keeps_alive=True) as server:
        outcome = await sending(session, server.url, full)
        await server.left.wait()
    assert outcome == Retry("connection.OSError", call.UNREACHABLE_SECONDS, counted=False, sick=True)
    assert server.heads == []


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n" + b"X: %b\r\n" % (b"x" * 100) * (ANSWER_LIMIT_BYTES // 100),
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * (ANSWER_LIMIT_BYTES + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (ANSWER_LIMIT_BYTES // 20),
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH_9.9\r\n",
    ],
    ids=["many headers", "long header", "many 1xx", "101", "two lengths", "another two", "bad chunk", "ssh"],
)
async def test_what_is_no_answer_leaves_it_open(session: aiohttp.ClientSession, answer: bytes) -> None:
    async with serving(writing(answer), keeps_alive=True) as server:
        assert await sending(session, server.url) == Unknown("connection.BadAnswer")
        assert len(server.bodies) == 1
        await server.left.wait()


async def test_a_request_is_complete_and_carries_no_cookies(session: aiohttp.ClientSession) -> None:
    async with serving(answering(*CLOUD_API.sent, "Set-Cookie: a=b; Path=/"), keeps_alive=True) as server:
        for _ in range(2):
            assert await sending(session, server.url) == SENT
    first, second = server.heads
    assert first == second
    fields = [line.partition(b": ")[::2] for line in first.split(b"\r\n")[1:-2]]
    assert dict(fields) == {
        b"Host": server.url.removeprefix("http://").encode(),
        b"User-Agent": b"chasqui",
        b"Authorization": b"Bearer token",
        b"Content-Type": b"application/json",
        b"Accept": b"application/json",
        b"Accept-Encoding": b"identity",
        b"Content-Length": str(len(server.bodies[0])).encode(),
    }
    assert len(fields) == 7


@pytest.fixture
def tls(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    return contexts(tmp_path)


async def test_calls_share_a_connection_under_tls(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    async with (
        serving(answering(*CLOUD_API.sent), keeps_alive=True, tls=tls[0]) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls[1])) as session,
        asyncio.timeout(DEADLINE_SECONDS),
    ):
        assert [await sending(session, server.url) for _ in range(3)] == [SENT] * 3
        assert len(server.connections) == 1
        server.connections[0].close()
        await server.left.wait()
        assert await sending(session, server.url) == SENT
        assert (len(server.connections), len(server.bodies)) == (2, 4)


async def test_a_certificate_that_nobody_vouches_for_gets_nothing(tls: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    departures: list[None] = []
    async with serving(answering(*CLOUD_API.sent), tls=tls[0]) as server, open_client() as session:
        outcome = await sending(session, server.url, lambda: departures.append(None))
    assert isinstance(outcome, Retry)
    assert (outcome.counted, outcome.sick, departures, server.heads) == (False, True, [], [])
