"""Bodies that lie, swell, stall and break, over a real socket."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator

import pytest

from tests.integration.http.serving import KEY, LIMIT, Serving, problem_of, read_answer, serving

HEAD = f"POST /api/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\n".encode()
MIB = 1024 * 1024


@pytest.fixture
async def served() -> AsyncIterator[Serving]:
    async with serving() as running:
        yield running


def sized(body: bytes) -> bytes:
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def test_a_body_is_taken_whole_in_pieces_and_in_chunks(served: Serving) -> None:
    body = b'{"text": "' + b"x" * 30_000 + b'"}'

    assert b" 201 " in await served.raw(sized(body))
    assert b" 201 " in await served.raw(sized(body)[:100], sized(body)[100:20_000], sized(body)[20_000:])
    chunked = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
    assert b" 201 " in await served.raw(chunked, chunk(body[:10]), chunk(body[10:]), b"0\r\n\r\n")


async def test_a_body_at_the_limit_is_read_and_one_over_it_is_not(served: Serving) -> None:
    fits = b"{" + b" " * (LIMIT - 2) + b"}"

    assert problem_of(await served.raw(sized(fits)))[1]["code"] == "request.invalid"
    assert problem_of(await served.raw(sized(fits + b" ")))[0] == 413


async def test_an_announced_50_mb_body_is_answered_though_the_client_sends_it_all(served: Serving) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer = await served.raw(HEAD + b"Content-Length: %d\r\n\r\n" % (50 * MIB), *[b" " * MIB] * 50)

    status, problem = problem_of(answer)
    assert (status, problem["code"]) == (413, "body.too_large")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20 * 1024, "kilobytes"


async def test_an_endless_chunked_body_is_refused_at_the_limit(served: Serving) -> None:
    answer = await served.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk(b" " * MIB)] * 20)

    assert problem_of(answer)[0] == 413


async def test_a_client_that_asks_first_is_told_before_it_sends(served: Serving) -> None:
    expects = HEAD + b"Expect: 100-continue\r\n"

    assert problem_of(await served.raw(expects + b"Content-Length: %d\r\n\r\n" % (50 * MIB)))[0] == 413
    assert (await served.raw(expects + b"Content-Length: 13\r\n\r\n")).startswith(b"HTTP/1.1 100 Continue")


async def test_the_connection_lives_on_after_a_refused_body(served: Serving) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(sized(b" " * (LIMIT + 1)))
    assert problem_of(await read_answer(reader))[0] == 413
    writer.write(sized(b'{"text": "x"}'))
    assert b" 201 " in await read_answer(reader)
    writer.close()


@pytest.mark.parametrize(
    ("head", "body", "status", "code"),
    [
        (b"", b"", 400, "body.empty"),
        (b"", b"{", 400, "body.not_json"),
        (b"", b'{"text": "\xff"}', 400, "body.not_utf8"),
        (b"", b'{"text": "\\u0000"}', 422, "request.invalid"),
        (b"", b'{"text": "\\ud800"}', 422, "request.invalid"),
        (b"", b'{"text": "x", "number": 1e999}', 422, "request.invalid"),
        (b"", b'{"text": "x", "number": NaN}', 422, "request.invalid"),
        (b"", b"[" * 60_000, 400, "body.not_json"),
        (b"", b"[]", 422, "request.invalid"),
        (b"Content-Encoding: gzip\r\n", b"\x1f\x8b", 415, "media_type.unsupported"),
        (b"Content-Encoding: unheard-of\r\n", b"{}", 415, "media_type.unsupported"),
    ],
)
async def test_bad_bodies(served: Serving, head: bytes, body: bytes, status: int, code: str) -> None:
    answer = await served.raw(HEAD + head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    got, problem = problem_of(answer)
    assert (got, problem["code"]) == (status, code)


@pytest.mark.parametrize(
    ("media_type", "status"),
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ('Application/JSON; charset="UTF-8"', 201),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
        ("nonsense", 415),
        ("", 415),
    ],
)
async def test_media_types(served: Serving, media_type: str, status: int) -> None:
    head = HEAD.replace(b"application/json", media_type.encode())
    answer = await served.raw(head + b'Content-Length: 13\r\n\r\n{"text": "x"}')

    assert int(answer.split()[1]) == status


async def test_a_connection_cut_in_the_body_harms_nobody(served: Serving) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(HEAD + b"Content-Length: 100\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()

    assert b" 201 " in await served.raw(sized(b'{"text": "x"}'))


async def test_broken_chunks_are_the_callers_fault(served: Serving) -> None:
    answer = await served.raw(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"zz\r\n{}\r\n0\r\n\r\n")

    assert problem_of(answer)[0] == 400
