"""A tenant's own server is told what happens, in the form it understands, whether it is a stranger to us or to the Cloud API."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer
from standardwebhooks import Webhook

from tests.support.platform import Api, until

pytestmark = pytest.mark.asyncio(loop_scope="session")

APP_SECRET = "the app secret of a server"
VERIFY_TOKEN = "its verify token"


@dataclass
class Server:
    """Checks each post's signature as its form says, and keeps what was said."""

    url: str = ""
    secrets: dict[str, str] = field(default_factory=dict)
    meta: list[dict[str, Any]] = field(default_factory=list)
    standard: list[dict[str, Any]] = field(default_factory=list)
    forged: int = 0

    async def shake_hands(self, request: web.Request) -> web.Response:
        known = request.query["hub.verify_token"] == VERIFY_TOKEN
        return web.Response(text=request.query["hub.challenge"] if known else "", status=200 if known else 403)

    async def take_meta(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
        self.forged += not hmac.compare_digest(signed, request.headers["X-Hub-Signature-256"])
        (entry,) = orjson.loads(body)["entry"]
        (change,) = entry["changes"]
        self.meta.append(change["value"])
        return web.Response()

    async def take_standard(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.standard.append(Webhook(self.secrets["standard"]).verify(body, dict(request.headers)))
        return web.Response(status=204)


@pytest_asyncio.fixture(loop_scope="session")
async def server() -> AsyncIterator[Server]:
    there = Server()
    app = web.Application()
    app.router.add_get("/meta", there.shake_hands)
    app.router.add_post("/meta", there.take_meta)
    app.router.add_post("/standard", there.take_standard)
    async with TestServer(app) as running:
        there.url = str(running.make_url("/")).rstrip("/")
        yield there


async def test_a_tenants_server_hears_of_what_it_sends_and_of_the_answer_in_both_forms(api: Api, server: Server) -> None:
    status, standard = await api.call("POST", "/api/callbacks", {"url": f"{server.url}/standard", "events": ["message.*"]})
    assert status == 201, standard
    server.secrets["standard"] = standard["secret"]
    body = {"url": f"{server.url}/meta", "format": "meta", "secret": APP_SECRET, "verify_token": VERIFY_TOKEN}
    status, meta = await api.call("POST", "/api/callbacks", body)
    assert status == 201, meta
    try:
        status, tested = await api.call("POST", f"/api/callbacks/{standard['id']}/test")
        assert (status, tested["delivered"]) == (200, True)

        async def heard() -> bool:
            """The gateway hears in a moment that it is watched; what happens before then is not told."""
            await api.until_status(await api.send(to="+15557779990", text={"body": "Do you hear, Añay?"}), "read")
            return any(one["type"] != "callback.test" for one in server.standard)

        await until(heard, "the standard callback to be told of a message")
        await until(lambda: any("statuses" in value for value in server.meta), "a status in the provider's form")
        await until(lambda: any("messages" in value for value in server.meta), "the answer in the provider's form")
        await until(
            lambda: {"message.received", "message.delivered", "message.read"} <= {one["type"] for one in server.standard},
            "all that a message goes through",
        )
        assert server.forged == 0
        log = await api.get(f"/api/callbacks/{meta['id']}/deliveries?limit=500")
        assert {delivery["state"] for delivery in log["data"]} <= {"delivered", "waiting"}
    finally:
        for made in (standard, meta):
            status, _ = await api.call("DELETE", f"/api/callbacks/{made['id']}")
            assert status == 204
    assert (await api.get("/api/callbacks"))["data"] == []
