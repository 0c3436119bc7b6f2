"""Files that only the provider has: described with an address of ours, which opens without a token and streams them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import aiohttp
import pytest
from aiohttp import web

from tests.integration.gateway.graph.conftest import ACCOUNT
from tests.integration.gateway.serving import Gateway, Tenant

NUMBER = "106540352242922"
TOKEN = "EAAtoken"
MEDIA_ID = "1037543291543636"
BYTES = b"<script>" + b"x" * 300_000


@dataclass(eq=False)
class Files:
    """A provider with one file, told to answer otherwise at times."""

    url: str = ""
    file_url: str = ""
    status: int = 200
    tokens: list[str | None] = field(default_factory=list)

    async def describe(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        return web.json_response(
            {"messaging_product": "whatsapp", "url": self.file_url, "mime_type": "text/html", "file_size": 1, "id": MEDIA_ID}
        )

    async def give(self, request: web.Request) -> web.Response:
        self.tokens.append(request.headers.get("Authorization"))
        headers = {"Content-Type": "text/html", "Set-Cookie": "a=b", "Location": "http://127.0.0.1:9/"}
        return web.Response(body=BYTES if self.status == 200 else b"gone", status=self.status, headers=headers)


@dataclass(slots=True)
class Scene:
    gateway: Gateway
    files: Files
    tenant: Tenant

    async def address(self) -> str:
        answer = await self.gateway.call("GET", f"/v23.0/{MEDIA_ID}?phone_number_id={NUMBER}", tenant=self.tenant)
        assert answer.status == 200, answer.text
        assert answer.body["mime_type"] == "text/html"
        assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
        return str(answer.body["url"])


@pytest.fixture
async def scene(gateway: Gateway) -> AsyncIterator[Scene]:
    files = Files()
    app = web.Application()
    app.router.add_get(f"/v23.0/{MEDIA_ID}", files.describe)
    app.router.add_get("/file", files.give)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        files.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        files.file_url = f"{files.url}/file?mid=1&hash=a%2Fb"
        tenant = await gateway.new_tenant()
        await gateway.connect(tenant, NUMBER, waba_id=ACCOUNT, provider_url=files.url, access_token=TOKEN)
        yield Scene(gateway, files, tenant)
    finally:
        await runner.cleanup()


async def test_it_is_downloaded_without_a_token_and_harms_nobody(scene: Scene) -> None:
    url = await scene.address()
    assert url.startswith(f"{scene.gateway.url}/api/media/")
    assert TOKEN not in url
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        assert (answer.status, await answer.read()) == (200, BYTES)
        assert answer.headers["Content-Length"] == str(len(BYTES))
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert not {"Set-Cookie", "Location"} & set(answer.headers)
    async with aiohttp.ClientSession() as session, session.head(url) as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(BYTES)))
    assert set(scene.files.tokens) == {f"Bearer {TOKEN}"}


async def test_the_address_opens_nothing_else(scene: Scene) -> None:
    url = await scene.address()
    other = await scene.gateway.new_tenant("Other")
    asked = len(scene.files.tokens)
    for wrong in (
        url.replace(MEDIA_ID, "1037543291543637"),
        url.replace(scene.tenant.tenant_id, other.tenant_id),
        url.replace(NUMBER, ACCOUNT),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.partition("?")[0],
        url.replace("expires=", "expires=9"),
    ):
        answer = await scene.gateway.call("GET", wrong.removeprefix(scene.gateway.url))
        assert (answer.status, answer.body["error"]["code"]) == (404, 100), wrong
    assert len(scene.files.tokens) == asked


async def test_what_the_provider_does_not_give_is_gone(scene: Scene) -> None:
    path = (await scene.address()).removeprefix(scene.gateway.url)
    for status in (302, 404, 500):
        scene.files.status = status
        answer = await scene.gateway.call("GET", path)
        assert (answer.status, answer.body["error"]["code"]) == (404, 100)
    scene.files.file_url = "http://127.0.0.1:9/elsewhere"
    answer = await scene.gateway.call("GET", path)
    assert (answer.status, answer.body["error"]["code"]) == (500, 131000)
    await scene.gateway.pool.execute("DELETE FROM numbers")
    answer = await scene.gateway.call("GET", path)
    assert (answer.status, answer.body["error"]["error_subcode"]) == (400, 33)
