"""A gateway within the test's process, on a database of its own; what it tells stays in its outbox."""

from __future__ import annotations

import asyncio
import base64
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from pydantic import SecretStr

from services.gateway import tenants
from services.gateway.app import build
from services.gateway.settings import GatewaySettings, Settings
from shared.auth.keys import new_key
from shared.auth.signatures import HEADER, sign
from shared.bus.interface import Bus, Handler, StopSignal, Subscription
from shared.bus.outbox import Outbox
from shared.config import HttpSettings, ObjectsSettings, RedisSettings, SecuritySettings, TelemetrySettings
from shared.db.pool import Pool, open_pool
from shared.events.event import Event
from shared.http.server import HttpServer
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.database import Database
from tests.support.told import told

MASTER_KEY: Final = base64.b64encode(bytes(range(32))).decode()
SECURITY: Final = SecuritySettings(master_key=SecretStr(MASTER_KEY), internal_token=SecretStr("internal"))
WEBHOOK: Final = "/api/webhooks/whatsapp"
NO_REDIS: Final = "redis://127.0.0.1:9/0"


class NoBus:
    """Declares what it is asked to and brings nothing."""

    is_local = True

    async def declare(self, subscriptions: Sequence[Subscription]) -> None:
        """Nothing to make."""

    async def consume(self, _subscription: Subscription, _handler: Handler, stop: StopSignal, *_: object) -> None:
        """Takes nothing."""
        await stop.wait()


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant_id: str
    key: str


@dataclass(slots=True)
class Gateway:
    url: str
    pool: Pool
    session: aiohttp.ClientSession
    objects: ObjectsSettings
    stop: asyncio.Event
    """Set it, and the process ends in order."""

    async def call(self, method: str, path: str, body: Any = None, tenant: Tenant | None = None, **headers: str) -> Answer:
        data = body if isinstance(body, bytes) else None if body is None else orjson.dumps(body)
        sent = {"Content-Type": "application/json", **headers}
        if tenant is not None:
            sent["Authorization"] = f"Bearer {tenant.key}"
        async with self.session.request(method, self.url + path, data=data, headers=sent) as answer:
            text = await answer.text()
            is_json = "json" in answer.headers.get("Content-Type", "")
            return Answer(answer.status, orjson.loads(text) if is_json else text, dict(answer.headers), text)

    async def new_tenant(self, name: str = "Acme") -> Tenant:
        async with self.pool.acquire() as connection, connection.transaction():
            tenant_id, key = await tenants.create(connection, name), new_key(live=False)
            await tenants.admit_key(connection, tenant_id, key)
        return Tenant(tenant_id, key)

    async def connect(self, tenant: Tenant, phone_number_id: str, **changes: Any) -> str:
        body = {
            "phone_number_id": phone_number_id,
            "waba_id": "1",
            "display_number": "+15550783881",
            "access_token": f"token-{phone_number_id}",
            "app_secret": f"secret-{phone_number_id}",
            "verify_token": f"verify-{phone_number_id}",
            **changes,
        }
        answer = await self.call("POST", "/api/numbers", body, tenant)
        assert answer.status == 201, answer.text
        await self.told()
        return str(answer.body["id"])

    async def send(self, tenant: Tenant, **body: Any) -> str:
        answer = await self.call("POST", "/api/messages", {"to": "+15551234567", "text": {"body": "hi"}, **body}, tenant)
        assert answer.status == 202, answer.text
        await self.told()
        return str(answer.body["id"])

    async def webhook(self, payload: Any, secret: str) -> Answer:
        data = orjson.dumps(payload)
        return await self.call("POST", WEBHOOK, data, **{HEADER: sign(secret, data)})

    async def told(self) -> Sequence[Event]:
        return await told(self.pool)


TEMPLATE_READER: Final = "gateway.read_templates"


@asynccontextmanager
async def serving(
    database: Database,
    redis_url: str = NO_REDIS,
    *,
    reads_templates: bool = False,
    bus: Bus | None = None,
    security: SecuritySettings = SECURITY,
    **own: Any,
) -> AsyncIterator[Gateway]:
    """`own` are settings of the gateway's own group. Numbers may be at their provider's usual place, so templates are read only for
    who asks for it and connects none there."""
    settings = Settings(
        db=database.settings_for("gateway", pool_max=10),
        http=HttpSettings(port=0),
        redis=RedisSettings(url=redis_url),
        security=security,
        gateway=GatewaySettings(
            **{
                "archive_url": "http://127.0.0.1:9",
                "scheduler_url": "http://127.0.0.1:9",
                "provider_origins": "https://graph.facebook.com,https://api.twilio.com,http://127.0.0.1:*",
                **own,
            }
        ),
        objects=ObjectsSettings(url=tempfile.mkdtemp(prefix="chasqui-objects-")),
    )
    bus = bus or NoBus()  # type: ignore[assignment]  # nothing publishes: the outbox does not run
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, settings.objects.url)
        components = await build(stack, settings, bus, Tracing("gateway", TelemetrySettings()), Metrics("gateway"))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        pool = await stack.enter_async_context(open_pool(settings.db, "gateway"))
        async with asyncio.TaskGroup() as group:
            for component in components:
                if not isinstance(component, Outbox) and (reads_templates or component.name != TEMPLATE_READER):
                    group.create_task(component.run(stop), name=component.name)
            server = next(component for component in components if isinstance(component, HttpServer))
            yield Gateway(f"http://127.0.0.1:{server.port}", pool, session, settings.objects, stop)
            await session.close()
            stop.set()
