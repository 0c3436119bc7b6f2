"""`GET /api/events/ws` and tickets: the same updates for browsers, whose requests carry no headers of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import Any

import aiohttp
import orjson
import pytest
from redis.asyncio import Redis

from services.gateway.live import hub as hub_module
from services.gateway.routes import events as routes_module
from tests.integration.gateway.following import Events, Teller, following, is_open
from tests.integration.gateway.serving import Gateway, Tenant, serving
from tests.support.database import Database
from tests.support.platform import until

WS = "/api/events/ws"


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


@pytest.fixture
async def live(database: Database, redis_url: str) -> AsyncIterator[Gateway]:
    async with serving(database, redis_url) as gateway:
        yield gateway


@pytest.fixture
async def tenant(live: Gateway) -> Tenant:
    return await live.new_tenant()


@pytest.fixture
def teller(redis: Redis, tenant: Tenant) -> Teller:
    return Teller(redis, tenant)


class Socket:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Any:
        """The next frame; None where the other side closes."""
        message = await self.socket.receive(timeout=60)
        return orjson.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None

    async def names(self, count: int) -> list[str]:
        return [(await self.next())["data"]["data"]["name"] for _ in range(count)]


@asynccontextmanager
async def connected(gateway: Gateway, tenant: Tenant | None, query: str = "", **how: Any) -> AsyncIterator[Socket]:
    headers = {} if tenant is None else {"Authorization": f"Bearer {tenant.key}"}
    async with gateway.session.ws_connect(f"{gateway.url}{WS}{query}", headers=headers, **how) as socket:
        yield Socket(socket)


async def ticket(gateway: Gateway, tenant: Tenant) -> str:
    answer = await gateway.call("POST", "/api/events/tickets", tenant=tenant)
    assert answer.status == 201
    return str(answer.body["token"])


async def test_updates_come_over_a_socket(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with connected(live, tenant) as socket:
        assert (await socket.next())["event"] == "ready"
        await teller.tell("a", kind="message.received")
        seen = await socket.next()
        assert seen["event"] == seen["data"]["type"] == "message.received"
        assert seen["data"]["data"] == {"name": "a"}


async def test_who_comes_back_is_told_what_was_missed(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with connected(live, tenant) as socket:
        ready = await socket.next()
    await teller.tell("a", "b")
    async with connected(live, tenant, f"?after={ready['id']}&types=message.read") as socket:
        assert (await socket.next())["event"] == "ready"
        assert await socket.names(2) == ["a", "b"]
    async with connected(live, tenant, "?after=1-1") as socket:
        assert (await socket.next())["event"] == "reset"


async def test_a_place_is_the_same_for_both(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with connected(live, tenant) as socket:
        ready = await socket.next()
    await teller.tell("a")
    async with following(live, tenant, last_id=ready["id"]) as events:
        await events.ready()
        (seen,) = await events.some(1)
        assert seen.data["data"] == {"name": "a"}


async def test_a_place_goes_on_beyond_what_was_not_chosen(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with connected(live, tenant, "?types=message.failed") as socket:
        await socket.next()
        await teller.tell("a", kind="message.read")
        place = await socket.next()
        assert (place["event"], place["data"]) == ("place", {})
        assert place["id"].startswith(await teller.last_position())


async def test_who_takes_nothing_is_cut_off(
    live: Gateway, tenant: Tenant, teller: Teller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_module, "_WRITE_SECONDS", 0.2)
    monkeypatch.setattr(hub_module, "MOST_OF_TENANT", 1)
    numbers = iter(range(1_500))  # all of it is less than Valkey's memory, and more than any buffer
    async with connected(live, tenant) as socket:
        await socket.next()
        connection = socket.socket._response.connection  # nothing public pauses it
        assert connection is not None
        transport = connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()

        async def has_room() -> bool:
            more = [str(number) for number in islice(numbers, 20)]
            await teller.tell(*more, data={"name": "x" * 100_000})
            return await is_open(live, tenant)

        await until(has_room, "the reader to be cut off")


async def test_what_a_client_says_means_nothing(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async with connected(live, tenant) as socket:
        await socket.next()
        await socket.socket.send_str('{"subscribe": "everything"}')
        await socket.socket.send_bytes(b"\x00\xff")
        await teller.tell("a")
        assert await socket.names(1) == ["a"]
        await socket.socket.send_str("x" * 10_000)
        assert await socket.next() is None
        assert socket.socket.close_code == aiohttp.WSCloseCode.MESSAGE_TOO_BIG


async def test_at_the_end_of_the_process_sockets_are_closed(live: Gateway, tenant: Tenant) -> None:
    async with connected(live, tenant) as socket:
        await socket.next()
        live.stop.set()
        assert await socket.next() is None
        assert socket.socket.close_code == aiohttp.WSCloseCode.GOING_AWAY


async def test_when_redis_goes_sockets_are_closed(live: Gateway, tenant: Tenant, redis: Redis) -> None:
    async with connected(live, tenant) as socket:
        await socket.next()
        await redis.client_kill_filter(_type="normal", skipme=True)
        assert await socket.next() is None
        assert socket.socket.close_code == aiohttp.WSCloseCode.TRY_AGAIN_LATER


async def test_a_key_among_the_subprotocols_opens(live: Gateway, tenant: Tenant) -> None:
    async with connected(live, None, protocols=("chasqui.v1", f"key.{tenant.key}")) as socket:
        assert socket.socket.protocol == "chasqui.v1"
        assert (await socket.next())["event"] == "ready"


async def test_a_ticket_opens_both_and_nothing_else(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    token = await ticket(live, tenant)
    async with connected(live, None, f"?token={token}") as socket:
        await socket.next()
        async with live.session.get(f"{live.url}/api/events?token={token}") as answer:
            await Events(answer).ready()
        await teller.tell("a")
        assert await socket.names(1) == ["a"]
    assert (await live.call("GET", f"/api/messages?token={token}")).status == 401
    assert (await live.call("POST", f"/api/events/tickets?token={token}")).status == 401
    assert (await live.call("GET", "/api/messages", Authorization=f"Bearer {token}")).status == 401


@pytest.mark.parametrize("query", ["", "?token=", "?token=x", "?token=tnt_0.x", "?token=%00", "?token=" + "é" * 9])
async def test_without_key_and_ticket_nothing_opens(query: str, live: Gateway) -> None:
    assert (await live.call("GET", f"/api/events{query}")).status == 401
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        async with connected(live, None, query):
            pass
    assert caught.value.status == 401


@pytest.mark.parametrize("name", ["key.", "key.x", "key.chq_test_000000000000_0000000000000000000000000000000000000000000000"])
async def test_a_wrong_key_among_the_subprotocols_opens_nothing(name: str, live: Gateway) -> None:
    headers = {"Sec-WebSocket-Protocol": f"chasqui.v1, {name}"}
    async with live.session.get(f"{live.url}{WS}", headers=headers) as answer:
        assert answer.status == 401


async def test_a_request_that_is_no_socket_is_told_so(live: Gateway, tenant: Tenant) -> None:
    answer = await live.call("GET", WS, tenant=tenant)
    assert (answer.status, answer.body["code"]) == (426, "events.upgrade_needed")


async def test_many_come_and_go(live: Gateway, tenant: Tenant, teller: Teller) -> None:
    async def once(number: int) -> None:
        async with connected(live, tenant) as socket:
            assert (await socket.next())["event"] == "ready"
            if number % 2:
                await teller.tell("a")

    async with connected(live, tenant) as stays:
        await stays.next()
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(once(number))
        assert await stays.names(10) == ["a"] * 10
