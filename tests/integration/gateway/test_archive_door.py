"""What readers of the archive show and are shown through the gateway: what they have, parts of files, events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from tests.integration.gateway.serving import Gateway, Tenant, serving
from tests.support.database import Database

CONVERSATION = "/api/conversations/cnv_" + "0" * 26
BIG = 300_000


class Archive:
    """Stands for the archive."""

    def __init__(self) -> None:
        self.url = ""
        self.asked: dict[str, str] = {}
        self.go_on = asyncio.Event()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked = dict(request.headers)
        if "calendar" in request.path:
            return await self._events(request)
        if "participants" in request.path:
            return await self._without_end(request)
        if "media" in request.path:
            headers = {"Content-Range": f"bytes 0-{BIG - 1}/{2 * BIG}", "Accept-Ranges": "bytes", "X-Inner": "x"}
            return web.Response(status=206, headers=headers, body=b"x" * BIG, content_type="image/png")
        headers = {"ETag": 'W/"1"', "Cache-Control": "private, no-cache"}
        if request.headers.get("If-None-Match") == 'W/"1"':
            return web.Response(status=304, headers=headers)
        return web.json_response({"id": "1"}, headers=headers)

    async def _without_end(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while not self.go_on.is_set():
            await response.write(b"data: 1\n\n")
            await asyncio.sleep(0.002)  # the reader decides when it ends
        return response

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        await response.write(b"data: 1\n\n")
        await self.go_on.wait()
        await response.write(b"data: 2\n\n")
        await response.write_eof()
        return response


@pytest.fixture
async def archive() -> AsyncIterator[Archive]:
    archive = Archive()
    runner = web.ServerRunner(web.Server(archive.handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    archive.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield archive
    archive.go_on.set()
    await runner.cleanup()


@pytest.fixture
async def gateway(database: Database, archive: Archive) -> AsyncIterator[Gateway]:
    async with serving(database, archive_url=archive.url) as gateway:
        yield gateway


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


def headers(tenant: Tenant, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {tenant.key}", **more}


async def test_who_has_an_answer_is_told_so(gateway: Gateway, tenant: Tenant) -> None:
    url = gateway.url + CONVERSATION
    async with gateway.session.get(url, headers=headers(tenant)) as answer:
        assert (answer.status, answer.headers["ETag"], answer.headers["Cache-Control"]) == (200, 'W/"1"', "private, no-cache")
        assert await answer.json() == {"id": "1"}
    async with gateway.session.get(url, headers=headers(tenant, **{"If-None-Match": 'W/"1"'})) as answer:
        assert (answer.status, answer.headers["ETag"], await answer.read()) == (304, 'W/"1"', b"")


async def test_a_part_of_a_file_comes_as_a_part(gateway: Gateway, archive: Archive, tenant: Tenant) -> None:
    asked = headers(tenant, Range=f"bytes=0-{BIG - 1}", **{"If-Range": '"1"', "Last-Event-ID": "7"})
    async with gateway.session.get(f"{gateway.url}{CONVERSATION}/media", headers=asked) as answer:
        assert (answer.status, answer.headers["Content-Range"]) == (206, f"bytes 0-{BIG - 1}/{2 * BIG}")
        assert (answer.headers["Accept-Ranges"], answer.headers["Content-Length"]) == ("bytes", str(BIG))
        assert "X-Inner" not in answer.headers
        assert len(await answer.read()) == BIG
    assert {name: archive.asked[name] for name in ("Range", "If-Range", "Last-Event-ID")} == {
        "Range": f"bytes=0-{BIG - 1}",
        "If-Range": '"1"',
        "Last-Event-ID": "7",
    }
    async with gateway.session.head(f"{gateway.url}{CONVERSATION}/media", headers=headers(tenant)) as answer:
        assert (answer.status, answer.headers["Content-Length"], await answer.read()) == (206, str(BIG), b"")


async def test_an_event_comes_before_the_next_one_has_happened(gateway: Gateway, archive: Archive, tenant: Tenant) -> None:
    async with gateway.session.get(f"{gateway.url}{CONVERSATION}/calendar", headers=headers(tenant)) as answer:
        assert answer.headers["Content-Type"] == "text/event-stream"
        async with asyncio.timeout(60):
            assert await answer.content.readuntil(b"\n\n") == b"data: 1\n\n"
        archive.go_on.set()
        assert await answer.content.read() == b"data: 2\n\n"


async def test_a_reader_who_leaves_is_no_failure_of_the_archive(gateway: Gateway, tenant: Tenant) -> None:
    with capture_logs() as lines:
        async with gateway.session.get(f"{gateway.url}{CONVERSATION}/participants", headers=headers(tenant)) as answer:
            assert await answer.content.readuntil(b"\n\n") == b"data: 1\n\n"
            answer.close()
        async with asyncio.timeout(60):
            while not (finished := [line for line in lines if line["event"] == "request.finished"]):
                await asyncio.sleep(0.005)
    assert [(line["status"], line["code"]) for line in finished] == [(499, "client.gone")]
