"""`/metrics` on a server's own port: who may read it, and what it says of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from pydantic import SecretStr

from shared.config import TelemetrySettings
from shared.errors import Rejected
from shared.http.responses import json_response
from shared.http.routes import EVENT_STREAM, Access, Route
from shared.http.scraping import scraper
from shared.http.server import HttpServer
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.platform import until
from tests.support.scraped import Page, ask_every_time

TOKEN = "scr4pe-token"


@asynccontextmanager
async def serving(token: str = "") -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A server's URL, and what lets go the requests that wait in it."""
    released = asyncio.Event()

    async def show(request: web.Request) -> web.StreamResponse:
        if request.match_info["note_id"] == "secret":
            raise Rejected("note.secret", "Not for you.", status=403)
        return json_response({})

    async def wait(_request: web.Request) -> web.StreamResponse:
        await released.wait()
        return json_response({})

    async def stream(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": EVENT_STREAM})
        await response.prepare(request)
        await response.write(b": hello\n\n")
        await released.wait()
        return response

    server = HttpServer(
        "gateway",
        (
            Route("GET", "/notes/{note_id}", show, "Show", "Notes", access=Access.PUBLIC),
            Route("GET", "/wait", wait, "Wait", "Notes", access=Access.PUBLIC),
            Route("GET", "/stream", stream, "Stream", "Notes", access=Access.PUBLIC, produces=EVENT_STREAM),
        ),
        host="127.0.0.1",
        port=0,
        authenticate={Access.METRICS: scraper(SecretStr(token))},
        tracing=Tracing("gateway", TelemetrySettings()),
        metrics=Metrics("gateway"),
        readiness={},
        title="Notes",
        version="1",
    )
    await server.start()
    try:
        yield f"http://127.0.0.1:{server.port}", released
    finally:
        await server.close()


@pytest.fixture
async def session(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[aiohttp.ClientSession]:
    ask_every_time(monkeypatch)
    async with aiohttp.ClientSession(trust_env=False) as session:
        yield session


async def page(session: aiohttp.ClientSession, url: str) -> Page:
    async with session.get(f"{url}/metrics") as answer:
        assert answer.status == 200
        return Page(await answer.text())


@pytest.mark.parametrize("given", [None, "Bearer", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \u00e9"])
async def test_whoever_shows_another_token_reads_nothing(session: aiohttp.ClientSession, given: str | None) -> None:
    async with serving(TOKEN) as (url, _):
        headers = {} if given is None else {"Authorization": given}
        async with session.get(f"{url}/metrics", headers=headers) as answer:
            assert answer.status == 401
            assert answer.content_type == "application/problem+json"
            assert "chasqui_" not in await answer.text()


async def test_the_token_opens_and_without_one_anybody_reads(session: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with serving(TOKEN) as (url, _), session.get(f"{url}/metrics", headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["Cache-Control"] == "no-store"
    async with serving() as (url, _), session.get(f"{url}/metrics") as answer:
        assert answer.status == 200


async def test_requests_are_counted_by_template_and_status_and_strangers_together(session: aiohttp.ClientSession) -> None:
    async with serving() as (url, _):
        for path in ("/notes/1", "/notes/2", "/notes/secret", "/nothing/1", "/nothing/2", "/health", "/ready"):
            await session.get(f"{url}{path}")
        await session.request("PROPFIND", f"{url}/notes/1")
        found = await page(session, url)
    assert found.series("chasqui_http_requests_total") == {
        ("GET", "/notes/{note_id}", "200"): 2,
        ("GET", "/notes/{note_id}", "403"): 1,
        ("GET", "unmatched", "404"): 2,
        ("other", "unmatched", "405"): 1,
    }
    assert found("chasqui_http_request_duration_seconds_count", "GET", "/notes/{note_id}") == 3


async def test_what_is_in_flight_is_seen_and_streams_of_events_are_not_load(session: aiohttp.ClientSession) -> None:
    async with serving() as (url, released), aiohttp.ClientSession() as other, asyncio.TaskGroup() as group:
        stream = await other.get(f"{url}/stream")

        async def ask() -> None:
            async with other.get(f"{url}/wait") as answer:
                assert answer.status == 200

        waiting = group.create_task(ask())

        async def seen() -> bool:
            return (await page(session, url))("chasqui_http_requests_in_flight") == 1

        await until(seen, "the request that waits")
        assert (await page(session, url))("chasqui_http_connections") == 3
        released.set()
        await waiting
        await stream.read()

        async def gone() -> bool:
            return (await page(session, url))("chasqui_http_requests_in_flight") == 0

        await until(gone, "nothing in flight")
        found = await page(session, url)
    assert found("chasqui_http_requests_total", "GET", "/stream", "200") == 1
    assert ("GET", "/stream") not in found.series("chasqui_http_request_duration_seconds_count")
