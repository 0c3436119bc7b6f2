"""The call to the provider: whatever happens on the wire is an outcome, and the right one."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import aiohttp
import pytest

from local.ports import free_port
from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import NotSent, Outcome, Refused, Sent, Unknown
from services.sender.provider import client
from services.sender.provider.client import Departing, Route, request_body
from shared.http.client import open_client
from shared.ids import MessageId

Conduct = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ATTEMPT: Final = AttemptId(MessageId("msg_06b9q1k8g5t0v2c4d6e8f0g2h4"), 2)
BODY: Final = request_body(ATTEMPT, "+15551234567", {"type": "text", "text": {"body": "Grüße"}})
TRACEPARENT: Final = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Provider:
    """A server that reads one request a connection and then does as it is told."""

    def __init__(self, conduct: Conduct) -> None:
        self.conduct = conduct
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(
                next(line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")).split(b":")[1]
            )
            self.heads.append(head)
            self.bodies.append(await reader.readexactly(length))
            await self.conduct(reader, writer)
        writer.close()


@asynccontextmanager
async def provider(conduct: Conduct) -> AsyncIterator[Provider]:
    made = Provider(conduct)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


def answering(status: int, body: bytes, *headers: str) -> Conduct:
    async def conduct(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        await writer.drain()

    return conduct


async def call(url: str, token: str = "token") -> tuple[Outcome, int]:  # noqa: S107  # opens nothing
    """The outcome, and how often the departure was told."""
    departures: list[None] = []
    async with open_client() as session, asyncio.timeout(10):
        body = Departing(BODY, lambda: departures.append(None))
        outcome = await client.send(session, Route.of(url, "1064", token), body, TRACEPARENT)
    return outcome, len(departures)


def graph_error(code: int) -> bytes:
    return json.dumps({"error": {"message": "no", "type": "OAuthException", "code": code}}).encode()


async def test_a_call_that_is_taken_is_sent_and_says_who_and_where() -> None:
    async with provider(answering(200, b'{"messages":[{"id":"wamid.x"}]}')) as server:
        assert await call(server.url + "/") == (Sent("wamid.x"), 1)
    (head,), (body,) = server.heads, server.bodies
    assert head.startswith(b"POST /v23.0/1064/messages HTTP/1.1\r\n")
    assert b"authorization: bearer token\r\n" in head.lower()
    assert b"content-type: application/json\r\n" in head.lower()
    assert f"traceparent: {TRACEPARENT}\r\n".encode() in head.lower()
    assert json.loads(body) == {
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": "+15551234567",
        "type": "text",
        "text": {"body": "Grüße"},
        "biz_opaque_callback_data": str(ATTEMPT),
    }


def test_a_content_cannot_take_our_name_for_the_attempt() -> None:
    body = json.loads(request_body(ATTEMPT, "+1", {"type": "text", "biz_opaque_callback_data": "mine"}))
    assert body["biz_opaque_callback_data"] == str(ATTEMPT)


async def test_a_refused_connection_has_not_left() -> None:
    outcome, departures = await call(f"http://127.0.0.1:{free_port()}")
    assert isinstance(outcome, NotSent)
    assert departures == 0


async def test_a_name_that_does_not_resolve_has_not_left() -> None:
    outcome, departures = await call("http://provider.invalid")
    assert isinstance(outcome, NotSent)
    assert departures == 0


async def test_a_connection_that_is_never_taken_has_not_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TIMEOUT", aiohttp.ClientTimeout(total=5, sock_connect=0.2))
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        with socket.socket() as first, socket.socket() as second:
            for filler in (first, second):
                filler.setblocking(False)
                with suppress(BlockingIOError):
                    filler.connect(full.getsockname())
            outcome, departures = await call(f"http://127.0.0.1:{full.getsockname()[1]}")
    assert isinstance(outcome, NotSent)
    assert departures == 0


async def test_a_reset_after_the_request_may_have_been_taken() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with provider(reset) as server:
        outcome, departures = await call(server.url)
    assert isinstance(outcome, Unknown)
    assert departures == len(server.bodies) == 1


@pytest.mark.parametrize(
    "answer",
    [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"mess', b"nonsense\r\n\r\n"],
)
async def test_an_answer_that_breaks_off_may_have_been_a_yes(answer: bytes) -> None:
    async def breaks(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    async with provider(breaks) as server:
        outcome, departures = await call(server.url)
    assert isinstance(outcome, Unknown)
    assert departures == len(server.bodies) == 1, "one call, no second try"


async def test_a_provider_that_never_answers_may_have_taken_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TIMEOUT", aiohttp.ClientTimeout(total=0.3, sock_connect=0.2))

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async with provider(hang) as server:
        outcome, departures = await call(server.url)
    assert isinstance(outcome, Unknown)
    assert departures == 1


async def test_an_answer_that_drips_for_ever_ends_with_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_TIMEOUT", aiohttp.ClientTimeout(total=0.3, sock_connect=0.2))

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"1\r\n \r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    async with provider(drip) as server:
        assert isinstance((await call(server.url))[0], Unknown)


async def test_graph_errors_are_what_they_mean() -> None:
    async with provider(answering(400, graph_error(131026))) as server:
        assert (await call(server.url))[0] == Refused("provider.131026", "no")
        server.conduct = answering(400, graph_error(130429), "Retry-After: 3")
        assert (await call(server.url))[0] == NotSent("provider.130429", 3.0, counted=False)
        server.conduct = answering(429, b"slow down")
        assert (await call(server.url))[0] == NotSent("provider.http_429", 1.0, counted=False)
        server.conduct = answering(502, b"<html>")
        assert (await call(server.url))[0] == Unknown("provider.http_502")


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed_with_the_token(status: int) -> None:
    async with provider(answering(200, b'{"messages":[{"id":"w"}]}')) as elsewhere:
        async with provider(answering(status, b"", f"Location: {elsewhere.url}/x")) as server:
            assert (await call(server.url))[0] == Unknown(f"provider.http_{status}")
        assert elsewhere.heads == []


@pytest.mark.parametrize("length", [True, False])
async def test_of_an_endless_answer_only_so_much_is_read(length: bool) -> None:
    written = 0

    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(
            b"HTTP/1.1 200 OK\r\n" + (b"Content-Length: 999999999\r\n\r\n" if length else b"Connection: close\r\n\r\n")
        )
        while written < 50_000_000:
            writer.write(b" " * 65_536)
            written += 65_536
            await writer.drain()

    async with provider(endless) as server:
        assert await call(server.url) == (Unknown("provider.unreadable_answer"), 1)
    assert written < 50_000_000


@pytest.mark.parametrize("token", ["line\nbreak", "line\r\nX-Injected: 1", "nul\0"])
async def test_a_token_that_no_header_can_carry_is_an_outcome_and_not_a_crash(token: str) -> None:
    async with provider(answering(200, b'{"messages":[{"id":"w"}]}')) as server:
        outcome, _ = await call(server.url, token)
        assert isinstance(outcome, NotSent)
        assert server.heads == []


async def test_a_call_that_is_cancelled_is_cancelled() -> None:
    entered = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        entered.set()
        await reader.read()

    async with provider(hang) as server, asyncio.TaskGroup() as group:
        task = group.create_task(call(server.url))
        await entered.wait()
        task.cancel()
    assert task.cancelled()
