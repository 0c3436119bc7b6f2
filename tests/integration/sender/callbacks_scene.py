"""Callbacks as the gateway and receivers meet them: the sender's part over real HTTP, and a receiver that answers as told."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic import SecretStr
from redis.asyncio import Redis

from services.sender.callbacks.app import Callbacks, open_callbacks
from shared.addresses import Networks
from shared.auth.seal import Sealer
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.config import TelemetrySettings
from shared.db.pool import Pool, open_pool
from shared.events.catalogue import UpdateTold
from shared.events.event import Event
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.ids import TenantId, new_id
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.database import Database
from tests.support.platform import until
from tests.support.told import silent_outbox, told

TOKEN: Final = "a token that the services share"
SEALER: Final = Sealer(base64.b64encode(bytes(32)).decode())
LOCAL: Final = Networks.parse("127.0.0.0/8")
VERIFY_TOKEN: Final = "the verify token"

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Got:
    """A post as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


async def fine(_: web.Request) -> web.StreamResponse:
    return web.Response(text="ok")


def with_status(status: int, **headers: str) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, headers={name.replace("_", "-"): text for name, text in headers.items()}, text="no")

    return answer


@dataclass
class Receiver:
    """Takes posts at any path and answers the challenge for `VERIFY_TOKEN`; `answers` is by path."""

    got: list[Got] = field(default_factory=list)
    asked: list[dict[str, str]] = field(default_factory=list)
    answers: dict[str, Answer] = field(default_factory=dict)
    handshake: Answer | None = None

    async def take(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            self.asked.append(dict(request.query))
            if self.handshake is not None:
                return await self.handshake(request)
            is_known = request.query.get("hub.verify_token") == VERIFY_TOKEN
            return web.Response(text=request.query["hub.challenge"] if is_known else "", status=200 if is_known else 403)
        body = await request.read()
        self.got.append(Got(request.path, dict(request.headers), body, asyncio.get_running_loop().time()))
        return await self.answers.get(request.path, fine)(request)

    def at(self, path: str) -> list[Got]:
        return [one for one in self.got if one.path == path]


@dataclass
class Scene:
    url: str
    outbox: Outbox
    pool: Pool
    session: aiohttp.ClientSession
    receiver: Receiver
    receiver_url: str
    callbacks: Callbacks
    metrics: Metrics
    tenant: TenantId = field(default_factory=lambda: TenantId(new_id("tnt")))

    async def ask(self, method: str, path: str, body: Any = None, tenant: str | None = None, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant or self.tenant}
        sent |= {name.replace("_", "-"): text for name, text in headers.items()}
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            text = await answer.read()
            return answer.status, orjson.loads(text) if text else None

    async def make(self, path: str = "/hook", **body: Any) -> dict[str, Any]:
        """A callback at the receiver's path."""
        status, answer = await self.ask("POST", "/api/callbacks", {"url": self.receiver_url + path, **body})
        assert status == 201, answer
        return dict(answer)

    async def meta(self, path: str = "/hook", **body: Any) -> dict[str, Any]:
        return await self.make(path, format="meta", verify_token=VERIFY_TOKEN, **body)

    def update(self, number: int = 0, **changes: Any) -> UpdateTold:
        update = UpdateTold(
            tenant_id=self.tenant,
            update_id=f"upd_{number:04d}",
            type="message.received",
            at=datetime.now(UTC),
            data={"n": number},
            graph={"entry_id": "1", "field": "messages", "value": {"n": number}},
        )
        return update.model_copy(update=changes)

    async def tell(self, *updates: UpdateTold) -> None:
        await self.callbacks.tell(updates)

    async def tell_many(self, count: int, **changes: Any) -> list[UpdateTold]:
        updates = [self.update(number, **changes) for number in range(count)]
        await self.tell(*updates)
        return updates

    async def log(self, callback: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
        status, answer = await self.ask("GET", f"/api/callbacks/{callback['id']}/deliveries{query}")
        assert status == 200, answer
        return list(answer["data"])

    async def states(self) -> dict[str, int]:
        rows = await self.pool.fetch("SELECT state, count(*) AS n FROM callback_deliveries GROUP BY 1")
        return {row["state"]: row["n"] for row in rows}

    async def until_states(self, **expected: int) -> None:
        async def reached() -> bool:
            return await self.states() == expected

        await until(reached, f"the deliveries to be {expected}")

    async def until_failures(self, count: int) -> None:
        async def reached() -> bool:
            found = await self.pool.fetchval("SELECT coalesce(sum(failures), 0) FROM callback_deliveries WHERE NOT is_claimed")
            return bool(found >= count)

        await until(reached, f"{count} failures to be written down")

    async def pass_time(self) -> None:
        """What waits for its time is due."""
        await self.pool.execute("UPDATE callback_deliveries SET due_at = now() WHERE state = 'waiting' AND NOT is_claimed")
        self.callbacks.crew.wake()

    async def told(self) -> Sequence[Event]:
        return await told(self.pool)


@asynccontextmanager
async def scene(
    database: Database, *, networks: Networks = LOCAL, concurrency: int = 16, works: bool = True, redis_url: str = ""
) -> AsyncIterator[Scene]:
    """The callbacks of a sender, with the crew at work unless told otherwise; Redis is away unless given."""
    receiver, stop = Receiver(), asyncio.Event()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    redis = Redis.from_url(redis_url or "redis://127.0.0.1:1/0", socket_timeout=20, socket_connect_timeout=20)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(redis.aclose)
        server = await stack.enter_async_context(TestServer(app))
        pool = await stack.enter_async_context(open_pool(database.settings_for("sender"), "sender"))
        outbox, clock, metrics = silent_outbox(pool, "sender"), SystemClock(), Metrics("sender")
        callbacks = await open_callbacks(stack, outbox, pool, redis, SEALER, networks, metrics, clock, concurrency=concurrency)
        http = HttpServer(
            "sender",
            callbacks.routes,
            host="127.0.0.1",
            port=0,
            authenticate={Access.INTERNAL: internal(SecretStr(TOKEN))},
            tracing=Tracing("sender", TelemetrySettings()),
            readiness={},
            title="Callbacks",
            version="1",
        )
        await http.start()
        stack.push_async_callback(http.close)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        address = str(server.make_url("/")).rstrip("/")
        made = Scene(f"http://127.0.0.1:{http.port}", outbox, pool, session, receiver, address, callbacks, metrics)
        async with asyncio.TaskGroup() as group:
            if works:
                group.create_task(callbacks.crew.run(stop))
            try:
                yield made
            finally:
                stop.set()
