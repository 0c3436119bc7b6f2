"""Readers of live updates, and something for them to read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import aiohttp
import orjson
from redis.asyncio import Redis

from services.gateway.live.streams import Streams
from shared.events.catalogue import UpdateTold
from shared.ids import NumberId, TenantId, new_id
from tests.integration.gateway.serving import Gateway, Tenant

NUMBER = NumberId(new_id("num"))


class Seen(NamedTuple):
    event: str
    id: str
    data: Any


class Events:
    """Server-sent events as they come, read as the HTML standard says."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.last_id = ""

    async def next(self) -> Seen | None:
        """The next that has data; None where the stream ends."""
        event, data = "message", ""
        async for line in self.answer.content:
            name, _, value = line.decode().rstrip("\n").partition(": ")
            match name:
                case "id":
                    self.last_id = value
                case "event":
                    event = value
                case "data":
                    data += value
                case "" if line == b"\n":
                    if data:
                        return Seen(event, self.last_id, orjson.loads(data))
                    event, data = "message", ""
        return None

    async def some(self, count: int) -> list[Seen]:
        found = [await self.next() for _ in range(count)]
        return [seen for seen in found if seen is not None]

    async def ready(self) -> Seen:
        seen = await self.next()
        assert seen is not None
        assert seen.event == "ready"
        return seen


@asynccontextmanager
async def following(gateway: Gateway, tenant: Tenant, query: str = "", last_id: str | None = None) -> AsyncIterator[Events]:
    """An open stream of server-sent events."""
    headers = {"Authorization": f"Bearer {tenant.key}", **({} if last_id is None else {"Last-Event-ID": last_id})}
    timeout = aiohttp.ClientTimeout(total=60)
    async with gateway.session.get(f"{gateway.url}/api/events{query}", headers=headers, timeout=timeout) as answer:
        assert answer.status == 200, await answer.text()
        assert answer.content_type == "text/event-stream"
        yield Events(answer)


async def is_open(gateway: Gateway, tenant: Tenant) -> bool:
    """True where a stream would be."""
    headers = {"Authorization": f"Bearer {tenant.key}"}
    async with gateway.session.get(f"{gateway.url}/api/events", headers=headers) as answer:
        return answer.status == 200


class Teller:
    """Tells a tenant's updates as their consumer does."""

    def __init__(self, redis: Redis, tenant: Tenant) -> None:
        self.redis = redis
        self.streams = Streams(redis)
        self.tenant_id = TenantId(tenant.tenant_id)

    @property
    def key(self) -> str:
        return f"live:{self.tenant_id}"

    async def last_position(self) -> str:
        """Where the stream ends."""
        entries: Any = await self.redis.xrevrange(self.key, count=1)
        return str(entries[0][0].decode())

    async def tell(self, *names: str, kind: str = "message.read", number_id: NumberId | None = NUMBER, **more: Any) -> None:
        await self.streams.add([self.update(name, kind=kind, number_id=number_id, **more) for name in names])

    def update(self, name: str, kind: str = "message.read", number_id: NumberId | None = NUMBER, **more: Any) -> UpdateTold:
        given = {"data": {"name": name}, **more}
        return UpdateTold(
            tenant_id=self.tenant_id, update_id=new_id("upd"), type=kind, number_id=number_id, at=datetime.now(UTC), **given
        )


def names(seen: list[Seen]) -> list[str]:
    return [one.data["data"]["name"] for one in seen]
