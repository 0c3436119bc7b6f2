"""The archive's imports as the gateway meets them, and exports to hand over."""

from __future__ import annotations

import asyncio
import io
import zipfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import aiohttp
from pydantic import SecretStr

from services.archive.app import build
from services.archive.settings import ArchiveSecuritySettings, ArchiveSettings, Settings
from shared.bus.memory import MemoryBus
from shared.config import ObjectsSettings, RedisSettings, TelemetrySettings
from shared.http.server import HttpServer
from shared.ids import TenantId
from shared.run import run
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.archive_events import TENANT
from tests.support.database import Database

TOKEN: Final = "a token that the services share"
SECONDS: Final = 60.0
START: Final = datetime(2024, 5, 21, 9, 0)  # noqa: DTZ001  # exports say no zone
ENDS: Final = frozenset({"completed", "failed", "canceled", "undone"})


@dataclass(frozen=True)
class Importing:
    """The running service and a folder for its objects."""

    url: str
    session: aiohttp.ClientSession
    objects: Path
    bus: MemoryBus

    async def ask(  # what a request has
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: Any = None,
        query: Any = None,
        headers: Mapping[str, str] | None = None,
        tenant: TenantId = TENANT,
    ) -> tuple[int, Any, Mapping[str, str]]:
        known = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant}
        async with self.session.request(
            method, self.url + path, json=json, data=data, params=query, headers={**known, **(headers or {})}
        ) as response:
            return response.status, await response.json(content_type=None), response.headers

    async def get(self, path: str, **query: Any) -> Any:
        status, found, _ = await self.ask("GET", path, query=query)
        assert status == 200, found
        return found

    async def hand_over(self, data: bytes, *, tenant: TenantId = TENANT, **query: Any) -> str:
        """A whole file at once; gives the import's id."""
        status, made, _ = await self.ask("POST", "/api/imports", data=data, query=query, tenant=tenant)
        assert status == 201, made
        return str(made["id"])

    async def until(self, import_id: str, *states: str) -> Any:
        """The import, once it is in one of the states."""
        async with asyncio.timeout(SECONDS):
            while True:
                found = await self.get(f"/api/imports/{import_id}")
                if found["state"] in states:
                    return found
                assert found["state"] not in ENDS, found
                await asyncio.sleep(0.05)  # the deadline is above

    async def imported(self, data: bytes, **query: Any) -> Any:
        """The import of a file, once it is over."""
        return await self.until(await self.hand_over(data, **query), "completed", "failed")

    async def entries(self, conversation_id: str) -> list[Any]:
        """All of them, oldest first."""
        found: list[Any] = []
        query: dict[str, Any] = {"limit": 100}
        while True:
            page = await self.get(f"/api/conversations/{conversation_id}/entries", **query)
            found += page["data"]
            if not page.get("next_cursor"):
                return sorted(found, key=lambda one: (one["sent_at"], one["id"]))
            query["cursor"] = page["next_cursor"]

    async def bodies(self, conversation_id: str) -> list[str]:
        """What its texts say, oldest first."""
        return [one["content"]["text"]["body"] for one in await self.entries(conversation_id) if one["type"] == "text"]


@asynccontextmanager
async def importing(database: Database, redis_url: str, objects: Path, **given: Any) -> AsyncIterator[Importing]:
    """The service, started; drained at the end."""
    settings = Settings(
        security=ArchiveSecuritySettings(internal_token=SecretStr(TOKEN)),
        db=database.settings_for("archive", pool_max=10),
        redis=RedisSettings(url=redis_url),
        objects=ObjectsSettings(url=str(objects)),
        archive=ArchiveSettings(port=0, **given),
    )
    started, stop = asyncio.Event(), asyncio.Event()
    ports: list[int] = []
    tracing = Tracing("archive", TelemetrySettings())

    async with MemoryBus() as bus, asyncio.TaskGroup() as group:

        async def builder(stack: AsyncExitStack) -> Any:
            components = await build(stack, settings, bus, tracing, Metrics("archive"))
            ports.extend(component.port for component in components if isinstance(component, HttpServer))
            return components

        group.create_task(run([builder], drain_seconds=10, stop=stop, on_started=started.set))
        async with asyncio.timeout(SECONDS):
            await started.wait()
        try:
            async with aiohttp.ClientSession() as session:
                yield Importing(f"http://127.0.0.1:{ports[0]}", session, objects, bus)
        finally:
            stop.set()
    tracing.close()


def android(said: Iterable[tuple[str | None, str]], start: datetime = START, step: timedelta = timedelta(minutes=1)) -> bytes:
    """An export of Android in British English: authors, or None for a notice, and what they say, a step apart."""
    lines = []
    for number, (author, body) in enumerate(said):
        at = start + number * step
        lines.append(f"{at:%d/%m/%Y, %H:%M} - {f'{author}: ' if author else ''}{body}\n")
    return "".join(lines).encode()


def chat(count: int, first: int = 0) -> list[tuple[str, str]]:
    """So many messages of two people; one that counts the same says the same."""
    return [(("Ana", "Bo")[number % 2], f"message number {number}") for number in range(first, first + count)]


def zipped(members: Mapping[str, bytes] | Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip file."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members.items() if isinstance(members, Mapping) else members:
            archive.writestr(name, data)
    return out.getvalue()
