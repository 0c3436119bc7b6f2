"""Schedules as the gateway meets them: over HTTP, with a clock that stands still until it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import aiohttp
import asyncpg
import orjson
from pydantic import SecretStr

from services.scheduler import planner
from services.scheduler.routes.schedules import ScheduleRoutes
from shared.bus.outbox import Outbox
from shared.config import TelemetrySettings
from shared.db.pool import Pool
from shared.events.catalogue import AudienceWanted, TenantChanged
from shared.events.event import Event
from shared.events.values import DailySpan, Hours
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.ids import TenantId, new_id
from shared.telemetry.tracing import Tracing
from tests.integration.scheduler.telling import connect
from tests.support.told import told

TOKEN: Final = "a token that the services share"
START: Final = datetime(2026, 6, 1, 8, tzinfo=UTC)
"""A Monday."""
PHONE: Final = "+15551234567"
TEXT: Final[dict[str, Any]] = {"to": PHONE, "text": {"body": "Hello"}}


@dataclass
class StandingClock:
    at: datetime = START

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


@dataclass
class Scene:
    url: str
    outbox: Outbox
    pool: Pool
    session: aiohttp.ClientSession
    clock: StandingClock = field(default_factory=StandingClock)
    tenant: TenantId = field(default_factory=lambda: TenantId(new_id("tnt")))

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        sent = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": self.tenant, **headers}
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        if data is not None:
            sent["Content-Type"] = "application/json"
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            return answer.status, await answer.json(content_type=None)

    async def make(self, **body: Any) -> dict[str, Any]:
        status, answer = await self.ask("POST", "/api/schedules", {**TEXT, **body})
        assert status == 201, answer
        return dict(answer)

    async def read(self, schedule_id: str) -> dict[str, Any]:
        status, answer = await self.ask("GET", f"/api/schedules/{schedule_id}")
        assert status == 200, answer
        return dict(answer)

    async def faults(self, **body: Any) -> list[tuple[str, str]]:
        """Pointers and codes of what is wrong with it."""
        status, answer = await self.ask("POST", "/api/schedules", body)
        assert status == 422, answer
        return [(fault["pointer"], fault["code"]) for fault in answer["errors"]]

    async def number(self) -> str:
        number_id = new_id("num")
        await connect(self.outbox, number_id, tenant=self.tenant)
        return number_id

    async def settle_tenant(self, zone: str, *quiet: DailySpan, revision: int = 1) -> None:
        hours = Hours(zone=zone, quiet=list(quiet)) if quiet else None
        event = TenantChanged(tenant_id=self.tenant, revision=revision, time_zone=zone, hours=hours)
        await planner.know_tenants(self.outbox, [event])

    async def pass_to(self, at: datetime | timedelta) -> list[asyncpg.Record]:
        """Let the clock come there and the planner look once more; the runs that it opened."""
        self.clock.at = at if isinstance(at, datetime) else self.clock.at + at
        known = {row["id"] for row in await self.pool.fetch("SELECT id FROM runs")}
        while await planner.plan(self.outbox, self.clock.at):
            pass
        rows = await self.pool.fetch("SELECT id, owner_id, state, terms FROM runs ORDER BY id")
        return [row for row in rows if row["id"] not in known]

    async def end_runs(self) -> None:
        """All that are on have nobody left."""
        await self.pool.execute("UPDATE runs SET state = 'ended' WHERE state IN ('expanding', 'running', 'paused')")

    async def told(self) -> list[Event]:
        return list(await told(self.pool))


@asynccontextmanager
async def scene(outbox: Outbox, pool: Pool) -> AsyncIterator[Scene]:
    clock = StandingClock()
    http = HttpServer(
        "scheduler",
        ScheduleRoutes(outbox, pool, clock, lambda: None).routes(),
        host="127.0.0.1",
        port=0,
        authenticate={Access.INTERNAL: internal(SecretStr(TOKEN))},
        tracing=Tracing("scheduler", TelemetrySettings()),
        readiness={},
        title="Schedules",
        version="1",
    )
    await http.start()
    try:
        async with aiohttp.ClientSession(trust_env=False) as session:
            made = Scene(f"http://127.0.0.1:{http.port}", outbox, pool, session, clock)
            await made.number()
            yield made
    finally:
        await http.close()


def due(run: asyncpg.Record) -> datetime:
    """When a run's messages are due."""
    return datetime.fromisoformat(orjson.loads(run["terms"])["due_at"])


def wanted(events: list[Event]) -> list[AudienceWanted]:
    return [event for event in events if isinstance(event, AudienceWanted)]
