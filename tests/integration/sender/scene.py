"""A sender without its bus: events go in by hand, a provider of the test's own answers over real HTTP."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from redis.asyncio import Redis

from services.sender import numbers as directory
from services.sender.caller import Caller
from services.sender.calls import Calls
from services.sender.clearance import Clearance
from services.sender.conclude import Conclusions
from services.sender.deliver import Delivery
from services.sender.domain.retry import RetryPolicy
from services.sender.health import Health
from services.sender.journal import Journal
from services.sender.limits import LimitSettings
from services.sender.media import OwnFiles
from services.sender.metrics import add_sources
from services.sender.numbers import Numbers
from services.sender.prepare import Preparation
from services.sender.references import References
from services.sender.removals import Removals
from services.sender.restored import Fence
from services.sender.store import restored
from services.sender.uploads import Uploads
from shared.auth.seal import Sealer
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.config import ObjectsSettings, TelemetrySettings
from shared.db.pool import Pool, open_pool
from shared.events.catalogue import MessageReleased, NumberConnected
from shared.ids import MessageId, NumberId, TenantId, new_id
from shared.limits.breaker import BreakerPolicy
from shared.limits.breakers import Breakers
from shared.limits.local import LocalLimiter
from shared.objects.store import ObjectStore, open_objects
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.database import Database
from tests.support.platform import until
from tests.support.told import silent_outbox

TENANT = TenantId("tnt_a")
NUMBER = NumberId("num_1")
SEALER = Sealer(base64.b64encode(bytes(32)).decode())

Answer = Callable[[str], Awaitable[web.Response]]


async def accepted(attempt: str) -> web.Response:
    return web.json_response({"messages": [{"id": f"wamid.{attempt}"}]})


async def uploaded(count: str) -> web.Response:
    return web.json_response({"id": f"900{count}"})


async def removed(_: str) -> web.Response:
    return web.json_response({"success": True})


def refusing(code: int, status: int = 400) -> Answer:
    async def answer(_: str) -> web.Response:
        return web.json_response({"error": {"code": code, "message": f"(#{code})"}}, status=status)

    return answer


@dataclass
class Provider:
    """Counts what it gets, by our name for the attempt, and answers as told: each recipient's own way, else everybody's."""

    got: Counter[str] = field(default_factory=Counter)
    answer: Answer = accepted
    answers_to: dict[str, Answer] = field(default_factory=dict)
    by_number: Counter[str] = field(default_factory=Counter)
    bodies: dict[str, Any] = field(default_factory=dict)
    files: list[tuple[str, bytes, str, str]] = field(default_factory=list)
    answer_to_file: Answer = uploaded
    removals: list[tuple[str, str | None]] = field(default_factory=list)
    """Ids of files that it was asked to delete, with the token."""
    answer_to_removal: Answer = removed

    async def take(self, request: web.Request) -> web.Response:
        body = await request.json()
        attempt = body["biz_opaque_callback_data"]
        self.got[attempt] += 1
        self.bodies[attempt] = body
        self.by_number[request.match_info["number"]] += 1
        return await self.answers_to.get(body.get("to", ""), self.answer)(attempt)

    async def take_file(self, request: web.Request) -> web.Response:
        """A file of a form, answered as told."""
        assert request.content_length is not None
        form = await request.post()
        file = form["file"]
        assert isinstance(file, web.FileField)
        self.files.append((request.match_info["number"], file.file.read(), file.content_type, file.filename))
        assert (form["messaging_product"], form["type"]) == ("whatsapp", file.content_type)
        return await self.answer_to_file(str(len(self.files)))

    async def remove_file(self, request: web.Request) -> web.Response:
        """A file that is to be deleted, answered as told."""
        handle = request.match_info["handle"]
        self.removals.append((handle, request.headers.get("Authorization")))
        return await self.answer_to_removal(handle)


@dataclass
class Scene:
    provider: Provider
    delivery: Delivery
    calls: Calls
    numbers: Numbers
    outbox: Outbox
    pool: Pool
    breakers: Breakers
    url: str
    uploads: Uploads
    """Its workers do not run: a test says when a file goes up."""
    removals: Removals
    """As `uploads`."""
    objects: ObjectStore
    metrics: Metrics

    async def connect(self, number_id: NumberId = NUMBER, **changes: Any) -> None:
        """Tell of a number; its revision rises by itself."""
        revision = await self.pool.fetchval("SELECT max(revision) FROM numbers WHERE number_id = $1", number_id) or 0
        number = NumberConnected(
            tenant_id=TENANT,
            number_id=number_id,
            revision=revision + 1,
            phone_number_id=number_id.removeprefix("num_"),
            provider_url=self.url,
            sealed_access_token=SEALER.seal(TENANT, "numbers.access_token", number_id, "token"),
            messages_per_second=1000,
        )
        await directory.know(self.outbox, self.numbers, [number.model_copy(update=changes)])

    async def until_settled(self, count: int) -> None:
        async def settled() -> bool:
            return bool(await self.pool.fetchval("SELECT count(*) FROM attempts WHERE state <> 'submitting'") >= count)

        await until(settled, "the attempts to be settled")

    async def states(self) -> dict[str, int]:
        rows = await self.pool.fetch("SELECT coalesce(code, state) AS code, count(*) AS n FROM attempts GROUP BY 1")
        return {row["code"]: row["n"] for row in rows}


@asynccontextmanager
async def scene(
    database: Database,
    folder: Path,
    *,
    breaker: BreakerPolicy | None = None,
    limits: LimitSettings | None = None,
    policy: RetryPolicy | None = None,
    concurrency: int = 16,
    per_number: int = 16,
    **number: Any,
) -> AsyncIterator[Scene]:
    """A sender with `NUMBER` connected and limits of its own process; Redis is away."""
    provider = Provider()
    app = web.Application()
    app.router.add_post("/{version}/{number}/messages", provider.take)
    app.router.add_post("/{version}/{number}/media", provider.take_file)
    app.router.add_delete("/{version}/{handle}", provider.remove_file)
    stop = asyncio.Event()
    redis = Redis.from_url("redis://127.0.0.1:1/0", socket_timeout=0.1, socket_connect_timeout=0.1)
    async with (
        TestServer(app) as server,
        open_pool(database.settings_for("sender"), "sender") as pool,
        aiohttp.ClientSession() as session,
        aiohttp.ClientSession() as file_session,
        asyncio.TaskGroup() as group,
    ):
        outbox, clock, tracing = silent_outbox(pool, "sender"), SystemClock(), Tracing("sender", TelemetrySettings())
        limiter, metrics = LocalLimiter(clock), Metrics("sender")
        numbers = Numbers(pool, SEALER, clock, limits or LimitSettings(b"secret"))
        breakers = Breakers(redis, breaker or BreakerPolicy(), clock)
        health = Health(breakers, limiter, clock)
        clearance = Clearance(numbers, health)
        conclusions = Conclusions(numbers, limiter, policy or RetryPolicy(), clock)
        references = References(pool, clock)
        objects = open_objects(ObjectsSettings(url=str(folder / "objects")))
        uploads = Uploads(outbox, pool, file_session, objects, numbers)
        removals = Removals(pool, file_session, numbers)
        files = OwnFiles(pool, clock, uploads.wake)
        preparation = Preparation([references], files)
        caller = Caller(session, Journal(folder), preparation, clearance, health, conclusions, tracing, metrics, clock)
        calls = Calls(
            outbox,
            caller,
            limiter,
            clock,
            metrics,
            concurrency=concurrency,
            per_number=per_number,
            max_in_flight=max(200, concurrency),
        )
        add_sources(metrics, pool, numbers, limiter, health, calls, clock)
        group.create_task(calls.run(stop))
        group.create_task(health.slowing.run(stop))
        group.create_task(references.lookups.run(stop))
        group.create_task(files.lookups.run(stop))
        await until(lambda: calls.is_open, "the calls to be open")
        fence = Fence(outbox, await restored.last(pool), metrics, clock)
        delivery = Delivery(outbox, numbers, clearance, limiter, calls, metrics, clock, fence)
        url = str(server.make_url("/"))
        there = Scene(provider, delivery, calls, numbers, outbox, pool, breakers, url, uploads, removals, objects, metrics)
        await there.connect(**number)
        try:
            yield there
        finally:
            stop.set()
    await redis.aclose()


def released(**changes: Any) -> MessageReleased:
    """A release of a message of its own to a recipient of its own, unless told otherwise."""
    message_id = MessageId(new_id("msg"))
    event = MessageReleased(
        tenant_id=TENANT,
        message_id=message_id,
        attempt=1,
        number_id=NUMBER,
        to=f"+{abs(hash(message_id)) % 10**12}",
        content={"type": "text"},
    )
    return event.model_copy(update=changes)
