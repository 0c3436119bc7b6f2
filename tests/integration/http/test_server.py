"""What every answer carries, and what is no HTTP, over a real socket."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import structlog

from shared.http.client import open_client
from shared.http.routes import Access, Route
from shared.http.server import HttpServer, PortTaken
from shared.telemetry.logging import setup_logging
from tests.integration.http.serving import KEY, Serving, problem_of, routes, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
BEARER = {"Authorization": f"Bearer {KEY}"}


@pytest.fixture
async def served() -> AsyncIterator[Serving]:
    async with serving() as running:
        yield running


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with open_client() as session:
        yield session


@pytest.fixture
def log_lines() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    setup_logging("info", stream)
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def events(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


async def test_an_answer_has_its_id_and_no_version(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.post(f"{served.url}/api/notes", json={"text": "x"}, headers=BEARER) as answer:
        assert answer.status == 201
        assert await answer.json() == {"text": "x", "number": 0}
        assert answer.headers["Server"] == "chasqui"
        assert answer.headers["X-Request-Id"].startswith("req_")
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(("given", "kept"), [("my-id.1", True), ("a b", False), ("x" * 65, False), ("é", False), ("", False)])
async def test_a_sane_request_id_is_taken_over(
    served: Serving, client: aiohttp.ClientSession, given: str, *, kept: bool
) -> None:
    async with client.get(f"{served.url}/large", headers={"X-Request-Id": given}) as answer:
        assert (answer.headers["X-Request-Id"] == given) is kept


async def test_gzip_where_it_is_taken_and_worth_it(served: Serving, client: aiohttp.ClientSession) -> None:
    for path, size in (("/large", 5_000), ("/huge", 500_000)):
        async with client.get(f"{served.url}{path}", headers={"Accept-Encoding": "gzip"}) as answer:
            assert answer.headers["Content-Encoding"] == "gzip"
            assert answer.headers["Vary"] == "Accept-Encoding"
            assert int(answer.headers["Content-Length"]) < size / 10
            assert (await answer.json())["text"] == "x" * size
    raw = await served.raw(b"GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip;q=0\r\n\r\n")
    assert b"Content-Encoding" not in raw
    assert b"Vary: Accept-Encoding" in raw
    small = await served.raw(b"GET /notes/1 HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
    assert b"Content-Encoding" not in small
    packed = await served.raw(b"GET /large HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n")
    assert b"x" * 5_000 in gzip.decompress(packed.partition(b"\r\n\r\n")[2])


async def test_head_has_the_head_of_get(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.head(f"{served.url}/large", headers={"Accept-Encoding": "identity"}) as answer:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) > 5_000
        assert await answer.read() == b""


async def test_without_the_right_key_nothing_is_done(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.post(f"{served.url}/api/notes", data=b"x" * 100_000, headers={"Authorization": "Bearer x"}) as answer:
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert (await answer.json(content_type="application/problem+json"))["code"] == "key.wrong"


async def test_a_route_without_authenticator_does_not_start() -> None:
    async with serving() as running:
        tracing = running.server._edge._tracing
    with pytest.raises(ValueError, match="tenant"):
        HttpServer(
            "x",
            [route for route in routes(running.gate) if route.access is Access.TENANT],
            host="127.0.0.1",
            port=0,
            authenticate={},
            tracing=tracing,
            readiness={},
            title="x",
            version="1",
        )


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /notes/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /notes/a%2Fb/c HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n", 404),
        (b"OPTIONS /large HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"TRACE /large HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        (b"PUT /api/notes HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", 405),
        (b"SPAM /large HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /large HTTP/9.9\r\nHost: x\r\n\r\n", 400),
        (b"GET /large HTTP/1.1\r\nHost: x\r\nBad Header: s3cr3t\r\n\r\n", 400),
        (b"GET /large HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (b"GET /large HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 10_000 + b"\r\n\r\n", 431),
        (b"GET /large HTTP/1.1\r\nHost: x\r\n" + b"a" * 10_000 + b": x\r\n\r\n", 431),
        (b"GET /large HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: s3cr3t\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"s3cr3t\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    ],
    ids=lambda value: repr(value)[:30],
)
async def test_what_is_no_request_of_ours_gets_a_problem(
    served: Serving, log_lines: io.StringIO, request_bytes: bytes, status: int
) -> None:
    got, problem = problem_of(await served.raw(request_bytes))

    assert got == status
    assert "s3cr3t" not in json.dumps(problem) + log_lines.getvalue()
    (line,) = events(log_lines)
    assert (line["event"], line["status"], line["route"]) == ("request.finished", status, line["route"])


@pytest.mark.parametrize(
    ("request_bytes", "code", "limit"),
    [
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\n\r\n", "request.target_too_long", "8190 bytes"),
        (b"GET / HTTP/1.1\r\nX-A: " + b"a" * 10_000 + b"\r\n\r\n", "request.headers_too_large", "8192 bytes"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: a\r\n" * 200 + b"\r\n", "request.headers_too_large", "128 headers"),
    ],
    ids=["target", "header", "headers"],
)
async def test_what_is_too_long_is_told_the_limit(served: Serving, request_bytes: bytes, code: str, limit: str) -> None:
    _, problem = problem_of(await served.raw(request_bytes))

    assert problem["code"] == code
    assert limit in problem["detail"]


@pytest.mark.parametrize("target", [b"/notes/%ff", b"/notes/%zz", b"/notes/%ed%a0%80", b"/notes/%F0%9F%98%80"])
async def test_odd_paths_never_break_the_server(served: Serving, target: bytes) -> None:
    answer = await served.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n\r\n")

    assert int(answer.split()[1]) < 500


async def test_a_wrong_method_is_told_the_right_ones(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.delete(f"{served.url}/api/notes") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("limit=0", "/limit", "field.out_of_range"),
        ("limit=x", "/limit", "field.type"),
        ("limit=1&limit=2", "/limit", "field.repeated"),
        ("lmit=1", "/lmit", "field.unknown"),
        ("cursor=%00", "/cursor", "field.bad_text"),
        ("tag=a&tag=%00", "/tag", "field.bad_text"),
        ("%00=1", "/\ufffd", "field.bad_text"),
        ("a/b=1", "/a~1b", "field.unknown"),
    ],
)
async def test_bad_queries(served: Serving, query: str, pointer: str, code: str) -> None:
    request = f"GET /api/notes?{query} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    status, problem = problem_of(await served.raw(request.encode()))

    assert status == 422
    assert [(error["pointer"], error["code"]) for error in problem["errors"]] == [(pointer, code)]


async def test_a_good_query_is_parsed(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{served.url}/api/notes?limit=5&tag=a&tag=b", headers=BEARER) as answer:
        assert await answer.json() == {"limit": 5, "tag": ["a", "b"]}


@pytest.mark.parametrize(("key", "status"), [("a" * 255, 201), ("a" * 256, 400), ("a b", 400), ("", 400), ("é", 400)])
async def test_idempotency_keys_have_a_form(served: Serving, client: aiohttp.ClientSession, key: str, status: int) -> None:
    headers = {**BEARER, "Idempotency-Key": key}
    async with client.post(f"{served.url}/api/notes", json={"text": "x"}, headers=headers) as answer:
        assert answer.status == status


async def test_a_bug_is_a_500_that_says_nothing_and_is_logged_once(
    served: Serving, client: aiohttp.ClientSession, log_lines: io.StringIO
) -> None:
    async with client.get(f"{served.url}/crash") as answer:
        assert answer.status == 500
        problem = await answer.json(content_type="application/problem+json")

    assert problem["code"] == "internal"
    failed, finished = events(log_lines)
    assert (failed["event"], failed["error"]["class"]) == ("request.failed", "ValueError")
    assert any("serving.py" in frame and "crash" in frame for frame in failed["error"]["frames"])
    assert failed["request_id"] == finished["request_id"] == problem["request_id"] == answer.headers["X-Request-Id"]
    assert finished["code"] == "internal"
    assert "s3cr3t" not in log_lines.getvalue() + json.dumps(problem)


async def test_a_dependency_away_is_a_503_to_try_again(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{served.url}/away") as answer:
        assert answer.status == 503
        assert answer.headers["Retry-After"] == "1"
        assert (await answer.json(content_type="application/problem+json"))["retryable"] is True


async def test_an_answer_that_breaks_off_is_cut_not_ended(served: Serving, log_lines: io.StringIO) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.server.port)
    writer.write(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()

    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")
    assert b"problem" not in answer
    assert [line["event"] for line in events(log_lines)] == ["request.failed", "request.finished"]


async def test_one_line_and_one_span_per_request(
    served: Serving, client: aiohttp.ClientSession, log_lines: io.StringIO
) -> None:
    headers = {**BEARER, "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    async with client.post(f"{served.url}/api/notes?x=s3cr3t", json={"text": "s3cr3t soup"}, headers=headers) as answer:
        assert answer.status == 201
    async with client.get(f"{served.url}/notes/s3cr3t"):
        pass
    async with client.get(f"{served.url}/health"), client.get(f"{served.url}/ready"):
        pass

    line, other = events(log_lines)
    assert line["event"] == "request.finished"
    assert (line["service"], line["method"], line["route"], line["status"]) == ("gateway", "POST", "/api/notes", 201)
    assert (line["tenant_id"], line["trace_id"], line["request_id"]) == ("tnt_1", TRACE, answer.headers["X-Request-Id"])
    assert line["duration_ms"] > 0
    assert (other["route"], other["trace_id"] != TRACE) == ("/notes/{note_id}", True)
    assert "tenant_id" not in other
    span, _ = served.spans.get_finished_spans()
    assert (span.name, span.kind.name) == ("POST /api/notes", "SERVER")
    assert f"{span.context.trace_id:032x}" == TRACE
    assert dict(span.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/api/notes",
        "http.response.status_code": 201,
        "request_id": answer.headers["X-Request-Id"],
        "tenant_id": "tnt_1",
    }
    shown = log_lines.getvalue() + "".join(span.to_json() for span in served.spans.get_finished_spans())
    assert "s3cr3t" not in shown
    assert "soup" not in shown


async def test_the_document_and_the_page_are_served(served: Serving, client: aiohttp.ClientSession) -> None:
    async with client.get(f"{served.url}/api/openapi.json") as answer:
        document = await answer.json()
    async with client.get(f"{served.url}/api/docs", headers={"Host": 'x"><script>'}) as answer:
        page = await answer.text()
        assert answer.content_type == "text/html"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]

    assert set(document["paths"]) == {"/api/notes", "/health", "/ready"}
    assert "<script" not in page
    assert "http://localhost/api/notes" in page


async def test_a_taken_port_is_named(served: Serving) -> None:
    with pytest.raises(PortTaken, match=f"port {served.server.port} on 127.0.0.1 is taken"):
        async with serving(port=served.server.port):
            pass


async def test_ready_names_what_does_not_answer(client: aiohttp.ClientSession) -> None:
    failing = True

    async def database() -> None:
        if failing:
            raise ConnectionRefusedError("s3cr3t")

    async def bus() -> None:
        pass

    async with serving(readiness={"database": database, "bus": bus}) as running:
        async with client.get(f"{running.url}/ready") as answer:
            assert answer.status == 503
            assert await answer.json() == {"status": "unready", "checks": {"database": "failed", "bus": "ok"}}
        async with client.get(f"{running.url}/health") as answer:
            assert answer.status == 200
        failing = False
        async with client.get(f"{running.url}/ready") as answer:
            assert (answer.status, (await answer.json())["status"]) == (200, "ready")


async def test_ready_answers_although_a_check_neither_ends_nor_lets_itself_be_cancelled(client: aiohttp.ClientSession) -> None:
    asked = 0
    over = asyncio.Event()

    async def tidy_up() -> None:
        await over.wait()

    async def database() -> None:
        nonlocal asked
        asked += 1
        async with asyncio.TaskGroup() as group:
            tidying = group.create_task(tidy_up())
            try:
                await over.wait()
            finally:
                await asyncio.shield(tidying)  # as asyncpg gives a connection back

    async with serving(readiness={"database": database}) as running:
        try:
            for _ in range(4):
                async with client.get(f"{running.url}/ready", timeout=aiohttp.ClientTimeout(total=60)) as answer:
                    assert (answer.status, await answer.json()) == (
                        503,
                        {"status": "unready", "checks": {"database": "timeout"}},
                    )
            assert asked == 1, "one question at a time"
        finally:
            over.set()
        async with client.get(f"{running.url}/ready") as answer:
            assert answer.status == 200


def test_routes_tell_their_template_and_parameters() -> None:
    route = Route("GET", "/api/a/{a_id:a_[0-9]{3}}/b/{b}", lambda _: None, summary="", tag="")  # type: ignore[arg-type,return-value]

    assert route.template == "/api/a/{a_id}/b/{b}"
    assert route.parameters == {"a_id": "a_[0-9]{3}", "b": None}
