"""Bytes into requests, however they are cut; and which connections are idle."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.answers import Answer, Reply, response
from services.sandbox.connection import MAX_PIPELINED, Connection
from services.sandbox.request import Request


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False
        self.is_reading_paused = False
        self.waiting_bytes = 0
        self.is_aborted = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.is_closed = True

    def abort(self) -> None:
        self.is_aborted = True

    def get_write_buffer_size(self) -> int:
        return self.waiting_bytes

    def pause_reading(self) -> None:
        self.is_reading_paused = True

    def resume_reading(self) -> None:
        self.is_reading_paused = False


def connected(seen: list[tuple[str, str, bytes]]) -> tuple[Connection, Wire]:
    def handle(request: Request) -> Answer:
        seen.append((request.method, request.path, request.body))
        if request.path == "/held":
            return Reply(response(200, b"held"), after_seconds=0.0)
        return response(200, b"ok")

    connection = Connection(handle, lambda _: None, lambda work: work.close())
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire


bodies = st.binary(max_size=40)
requests = st.lists(st.tuples(st.sampled_from(["length", "chunked"]), bodies), min_size=1, max_size=6)


def written(kind: str, body: bytes) -> bytes:
    if kind == "length":
        return b"POST /m?x=1 HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(body[at : at + 7]), body[at : at + 7]) for at in range(0, len(body), 7))
    return b"POST /m?x=1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n%b0\r\n\r\n" % chunks


@given(requests, st.lists(st.integers(0, 400), max_size=12))
def test_requests_are_the_same_however_their_bytes_are_cut(sent: list[tuple[str, bytes]], cuts: list[int]) -> None:
    async def body() -> None:
        seen: list[tuple[str, str, bytes]] = []
        connection, wire = connected(seen)
        stream = b"".join(written(kind, body) for kind, body in sent)
        edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        for start, end in pairwise(edges):
            connection.data_received(stream[start:end])
        assert seen == [("POST", "/m", body) for _, body in sent]
        assert wire.written.count(b"HTTP/1.1 200 OK") == len(sent)
        assert not wire.is_closed

    asyncio.run(body())


async def test_a_caller_that_pipelines_without_end_is_not_read_until_its_answers_left() -> None:
    seen: list[tuple[str, str, bytes]] = []
    connection, wire = connected(seen)
    connection.data_received(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
    connection.data_received(b"GET /next HTTP/1.1\r\nhost: x\r\n\r\n" * MAX_PIPELINED)
    assert wire.is_reading_paused
    assert len(seen) == 1
    async with asyncio.timeout(60):
        while len(seen) <= MAX_PIPELINED:
            await asyncio.sleep(0)
    assert not wire.is_reading_paused
    assert wire.written.count(b"HTTP/1.1 200 OK") == MAX_PIPELINED + 1


async def test_a_caller_that_takes_no_answers_is_not_read() -> None:
    connection, wire = connected([])
    connection.pause_writing()
    assert wire.is_reading_paused
    connection.resume_writing()
    assert not wire.is_reading_paused


async def test_only_idle_connections_are_closed() -> None:
    connection, wire = connected([])
    connection.close_if_idle(connection.active_at - 1)
    assert not wire.is_closed
    connection.data_received(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n")
    connection.close_if_idle(connection.active_at + 1)
    assert not wire.is_closed
    async with asyncio.timeout(60):
        while not wire.written:
            await asyncio.sleep(0)
    wire.waiting_bytes = 1
    connection.close_if_idle(connection.active_at + 1)
    assert wire.is_aborted
    wire.waiting_bytes = 0
    connection.close_if_idle(connection.active_at + 1)
    assert wire.is_closed


def test_headers_are_found_in_any_case() -> None:
    request = Request(
        "POST", "/a?b=c&d=", {b"aUTHorization": b"x", b"Content-Type": b"Text/HTML; q=1"}, b"", is_too_large=False
    )
    assert request.header(b"Authorization") == "x"
    assert request.header(b"Host") is None
    assert request.content_type == "text/html"
    assert request.query == {"b": "c", "d": ""}
