"""kill -9 while a tenant's server is told of hundreds of messages: it hears of every one of them."""

from __future__ import annotations

from collections import Counter

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.fault.account import UNKNOWABLE, send_batch, until_all_are, until_books_balance
from tests.fault.conftest import Scene
from tests.support.platform import until

pytestmark = pytest.mark.timeout(480)

MESSAGES = 400


async def test_killed_while_callbacks_are_posted_it_loses_none(embedded: Scene) -> None:
    told: Counter[str] = Counter()
    read: set[str] = set()

    async def take(request: web.Request) -> web.Response:
        update = orjson.loads(await request.read())
        told[request.headers["webhook-id"]] += 1
        if update["type"] == "message.read":
            read.add(update["data"]["message_id"])
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app) as server:
        async with embedded.platform.api() as api:
            status, made = await api.call("POST", "/api/callbacks", {"url": str(server.make_url("/hook"))})
            assert status == 201, made

            async def heard() -> bool:
                first = await send_batch(api, embedded, 1, start=900_000)
                await api.until_status(first[0], "read")
                return bool(told)

            await until(heard, "the gateway to hear that it is watched")
            already = len(told)
            ids = await send_batch(api, embedded, MESSAGES)
        await until(lambda: len(told) > already + MESSAGES // 4, "some to be told")
        embedded.platform.kill()
        await embedded.platform.start()
        async with embedded.platform.api() as api:
            ended = await until_books_balance(api, embedded, ids, unknowable=UNKNOWABLE)
            expected = {message["id"] for message in ended if message["status"] != "unknown"}
            # The books balance as soon as all are sent; what the sandbox could not report during the kill it reports again.
            await until_all_are(api, sorted(expected), {"read"})
            # What a claim of the killed process held comes again when its lease of a minute ends.
            await until(lambda: expected <= read, "the server to have heard of all that was read", 120)
    repeated = sum(count - 1 for count in told.values())
    assert repeated <= 256, "no more is told twice than was under way when the kill fell"
