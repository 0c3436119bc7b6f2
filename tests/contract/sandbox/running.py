"""A sandbox on a free port and a receiver for its webhooks, both real HTTP over loopback."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from aiohttp import web
from opentelemetry.sdk.trace.export import SpanExporter
from pydantic import SecretStr

from services.sandbox.app import build
from services.sandbox.server import GraphServer
from services.sandbox.settings import SandboxSettings, Settings
from shared.config import TelemetrySettings
from shared.run import Component, run
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing

APP_SECRET = "app-secret-of-the-tests"
VERIFY_TOKEN = "verify-token-of-the-tests"
NUMBER = "106540352242922"
PATH = f"/v23.0/{NUMBER}/messages"
TOKEN = "sandbox-access-token"
DEADLINE_SECONDS = 40.0


@dataclass(eq=False)
class Receiver:
    """What a gateway sees: each POST as it came. `answers` are the statuses of the next POSTs, then 200."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    taken: list[dict[str, Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "GET":
            is_ours = request.query.get("hub.verify_token") == VERIFY_TOKEN
            return web.Response(text=request.query["hub.challenge"]) if is_ours else web.Response(status=403)
        body = await request.read()
        async with self.changed:
            self.bodies.append(body)
            self.headers.append(dict(request.headers))
            status = self.answers.pop(0) if self.answers else 200
            if status == 200:
                self.taken.append(orjson.loads(body))
            self.changed.notify_all()
        return web.Response(status=status)

    def values(self) -> list[dict[str, Any]]:
        return [change["value"] for payload in self.taken for entry in payload["entry"] for change in entry["changes"]]

    def statuses(self, wamid: str | None = None) -> list[dict[str, Any]]:
        items = [item for value in self.values() for item in value.get("statuses", ())]
        return [item for item in items if wamid in (None, item["id"])]

    def messages(self) -> list[dict[str, Any]]:
        return [item for value in self.values() for item in value.get("messages", ())]

    async def until(self, reached: Callable[[], bool]) -> None:
        """Wait until it holds after some POST; fails at the deadline."""
        async with asyncio.timeout(DEADLINE_SECONDS), self.changed:
            await self.changed.wait_for(reached)

    def all_are_signed(self) -> bool:
        return all(
            headers["X-Hub-Signature-256"] == "sha256=" + hmac.new(APP_SECRET.encode(), body, hashlib.sha256).hexdigest()
            for body, headers in zip(self.bodies, self.headers, strict=True)
        )


@asynccontextmanager
async def receiving(port: int = 0) -> AsyncIterator[Receiver]:
    """A receiver that listens until the block ends."""
    receiver = Receiver()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/hook", receiver.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        yield receiver
    finally:
        await runner.cleanup()


@dataclass(eq=False)
class Client:
    """Calls a running sandbox."""

    base: str
    session: aiohttp.ClientSession

    async def send(self, recipient: str, /, **members: Any) -> tuple[int, dict[str, Any]]:
        """Send a text to `recipient`; `members` are added to the body, or replace its own."""
        body = {"messaging_product": "whatsapp", "to": recipient, "type": "text", "text": {"body": "hello"}, **members}
        return await self.post(PATH, body)

    async def post(self, path: str, body: object, token: str = TOKEN) -> tuple[int, dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with self.session.post(self.base + path, json=body, headers=headers) as response:
            return response.status, await response.json()

    async def control(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        async with self.session.request(method, f"{self.base}/control/{path}", json=body) as response:
            return response.status, await response.json()

    async def record(self, callback_data: str) -> dict[str, Any] | None:
        """The ledger's record of a message."""
        async with self.session.get(f"{self.base}/control/ledger", params={"id": callback_data}) as response:
            records: Sequence[dict[str, Any]] = (await response.json())["data"]
            return records[0] if records else None


@asynccontextmanager
async def running(
    webhook_url: str, *, exporter: SpanExporter | None = None, metrics_token: str = "", **settings: Any
) -> AsyncIterator[Client]:
    """A sandbox that runs until the block ends; its statuses come within milliseconds."""
    quick: dict[str, Any] = {"status_delay_ms": 5, "reply_delay_ms": 5, "verify_token": VERIFY_TOKEN, "app_secret": APP_SECRET}
    own = SandboxSettings(**{"port": 0, "webhook_url": webhook_url, **quick, **settings})
    ports: list[int] = []

    async def builder(stack: AsyncExitStack) -> Sequence[Component]:
        telemetry = TelemetrySettings(metrics_token=SecretStr(metrics_token))
        components = await build(
            stack,
            Settings(sandbox=own, telemetry=telemetry),
            Tracing("sandbox", telemetry, exporter),
            Metrics("sandbox"),
        )
        ports.extend(component.port for component in components if isinstance(component, GraphServer))
        return components

    started, stop = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(run([builder], drain_seconds=5, stop=stop, on_started=started.set))
        async with asyncio.timeout(DEADLINE_SECONDS):
            await started.wait()
        try:
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=DEADLINE_SECONDS)) as session:
                yield Client(f"http://127.0.0.1:{ports[0]}", session)
        finally:
            stop.set()
