"""A scene for campaigns: the scheduler's doors over HTTP, a number, and a gateway that is played."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
from pydantic import SecretStr

from services.scheduler import dispatch, expand
from services.scheduler.conclude import End, conclude
from services.scheduler.routes.campaigns import CampaignRoutes
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.config import TelemetrySettings
from shared.db.pool import Pool
from shared.events.catalogue import AudienceFound, AudienceWanted, MessageRequested
from shared.events.event import Event
from shared.events.values import Recipient
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.ids import NumberId, TenantId, new_id
from shared.telemetry.tracing import Tracing
from tests.integration.scheduler.telling import connect, now
from tests.support.told import told

TOKEN: Final = "a token that the services share"
TENANT, OTHER = TenantId(new_id("tnt")), TenantId(new_id("tnt"))
NUMBER: Final = NumberId(new_id("num"))
KEY: Final = "06b1q2s3t4u5"
GROUP: Final = new_id("grp")
TEXT: Final[dict[str, Any]] = {"type": "text", "text": {"body": "Hello {{name}}"}}
CAMPAIGN: Final[dict[str, Any]] = {"name": "Sale", "audience": {"group_id": GROUP}, "content": TEXT}
PAGE: Final = 3
"""Of an audience, so that there are several."""

E = TypeVar("E", bound=Event)


def recipient(to: str, **fields: Any) -> Recipient:
    return Recipient(**{"to": to, "zone": "UTC", "content": TEXT, **fields})


def recipients(count: int, **fields: Any) -> list[Recipient]:
    return [recipient(f"+1555{1_000_000 + n}", **fields) for n in range(count)]


def faulty(to: str, fault: str, detail: str | None = None) -> Recipient:
    return recipient(to, content=None, fault=fault, detail=detail)


@dataclass
class Scene:
    """`audience` is what the gateway finds; where it finds none, `unfindable` is the code."""

    url: str
    session: aiohttp.ClientSession
    pool: Pool
    outbox: Outbox
    audience: Sequence[Recipient] = ()
    unfindable: str | None = None
    _told: list[Event] = field(default_factory=list)

    async def ask(
        self, method: str, path: str = "", body: Any = None, *, tenant: str = TENANT, headers: Mapping[str, str] | None = None
    ) -> tuple[int, Any]:
        head = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant, "X-Chasqui-Client": KEY, **(headers or {})}
        async with self.session.request(method, f"{self.url}/api/campaigns{path}", json=body, headers=head) as answer:
            return answer.status, None if answer.status == 204 else await answer.json(content_type=None)

    async def refused(self, method: str, path: str = "", body: Any = None, **rest: Any) -> tuple[int, str]:
        """The status and the code of what is not done."""
        status, problem = await self.ask(method, path, body, **rest)
        return status, problem["code"]

    async def get(self, path: str) -> Any:
        status, found = await self.ask("GET", path)
        assert status == 200, found
        return found

    async def text(self, path: str) -> tuple[Mapping[str, str], str]:
        head = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": TENANT}
        async with self.session.get(f"{self.url}/api/campaigns{path}", headers=head) as answer:
            assert answer.status == 200
            return dict(answer.headers), await answer.text()

    async def create(self, **fields: Any) -> str:
        """Its path."""
        status, campaign = await self.ask("POST", body={**CAMPAIGN, **fields})
        assert status == 201, campaign
        return f"/{campaign['id']}"

    async def act(self, one: str, action: str) -> Any:
        status, answer = await self.ask("POST", f"{one}/{action}")
        assert status in {200, 202}, answer
        return answer

    async def started(self, **fields: Any) -> str:
        """A campaign whose audience is complete."""
        one = await self.create(**fields)
        await self.act(one, "start")
        await self.find()
        return one

    async def preflight(self, **fields: Any) -> tuple[str, Any]:
        """A draft, and what its preflight has found."""
        one = await self.create(**fields)
        await self.act(one, "preflight")
        await self.find()
        return one, await self.get(f"{one}/preflight")

    async def state(self, one: str) -> str:
        return str((await self.get(one))["state"])

    async def take(self, kind: type[E]) -> list[E]:
        """The events of a kind that were told since somebody took them last."""
        self._told += await told(self.pool)
        taken = [event for event in self._told if isinstance(event, kind)]
        self._told = [event for event in self._told if not isinstance(event, kind)]
        return taken

    async def find(self) -> None:
        """Answer every `audience.wanted`, as the gateway does, until nothing is wanted."""
        while wanted := await self.take(AudienceWanted):
            await expand.expand(self.outbox, [self._page(event) for event in wanted], now())

    def _page(self, wanted: AudienceWanted) -> AudienceFound:
        head: dict[str, Any] = {"tenant_id": wanted.tenant_id, "run_id": wanted.run_id, "page": wanted.page}
        if self.unfindable is not None:
            return AudienceFound(**head, recipients=[], code=self.unfindable, detail="it is not there")
        start = int(wanted.cursor or 0)
        more = str(start + PAGE) if start + PAGE < len(self.audience) else None
        return AudienceFound(**head, recipients=list(self.audience[start : start + PAGE]), next_cursor=more)

    async def dispatch(self) -> list[MessageRequested]:
        """What one look of the dispatch asks for."""
        await dispatch.fold(self.outbox)
        await dispatch.dispatch(self.outbox)
        return await self.take(MessageRequested)

    async def end(self, asked: Sequence[MessageRequested], state: str, code: str | None = None) -> None:
        """So the messages have ended."""
        async with self.outbox.transaction() as unit:
            await conclude(unit, [End(event.run_id, event.message_id, state, code) for event in asked])


@asynccontextmanager
async def campaigning(pool: Pool, outbox: Outbox) -> AsyncIterator[Scene]:
    tracing = Tracing("scheduler", TelemetrySettings())
    http = HttpServer(
        "scheduler",
        CampaignRoutes(outbox, pool, SystemClock()).routes(),
        host="127.0.0.1",
        port=0,
        authenticate={Access.INTERNAL: internal(SecretStr(TOKEN))},
        tracing=tracing,
        readiness={},
        title="Chasqui scheduler",
        version="1",
    )
    await http.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Scene(f"http://127.0.0.1:{http.port}", session, pool, outbox)
    finally:
        await http.close()
        tracing.close()


async def connected(scene: Scene) -> Scene:
    """With a number of the tenant's."""
    await connect(scene.outbox, NUMBER, tenant=TENANT)
    return scene
