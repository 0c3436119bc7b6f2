"""The part of the archive that keeps and gives back, over HTTP, with a recorder to fill it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from pydantic import SecretStr

from services.archive.cache import Changes
from services.archive.exports.work import ExportWorker, expire
from services.archive.record import Recorder
from services.archive.routes import bookmarks, marking, retention
from services.archive.routes.cursor import Cursors
from services.archive.routes.exports import ExportRoutes
from services.archive.routes.labels import LabelRoutes
from services.archive.tenants import Tenants
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.clock import SystemClock
from shared.config import ObjectsSettings, TelemetrySettings
from shared.db.pool import Pool
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.ids import TenantId
from shared.objects.store import ObjectStore, open_objects
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.archive_events import TENANT, edited, message_id, received, released, revoked, sent, stored

TOKEN = "a token that the services share"
CLIENT = "client-1"


@dataclass(frozen=True)
class Keeping:
    """The running part."""

    url: str
    session: aiohttp.ClientSession
    pool: Pool
    recorder: Recorder
    worker: ExportWorker
    objects: ObjectStore
    folder: Path

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        tenant: TenantId = TENANT,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and JSON, or bytes of what is not JSON."""
        async with self.session.request(
            method, self.url + path, json=body, params=query or {}, headers=self.headers(tenant) | dict(headers or {})
        ) as response:
            data = await response.read()
            is_json = response.content_type in {"application/json", "application/problem+json"}
            return response.status, await response.json(content_type=None) if is_json else data

    @staticmethod
    def headers(tenant: TenantId = TENANT) -> dict[str, str]:
        return {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant, "X-Chasqui-Client": CLIENT}

    async def pages(self, path: str, query: Mapping[str, str]) -> list[list[Any]]:
        """All pages, by their cursors."""
        pages: list[list[Any]] = []
        more: dict[str, str] = {}
        while True:
            status, page = await self.ask("GET", path, query={**query, **more})
            assert status == 200, page
            pages.append(page["data"])
            if "next_cursor" not in page:
                return pages
            more = {"cursor": page["next_cursor"]}

    async def conversations(self, tenant: TenantId = TENANT) -> list[str]:
        """Ids, the one with the newest entry first."""
        rows = await self.pool.fetch(
            "SELECT id FROM conversations WHERE tenant_id = $1 ORDER BY last_entry_at DESC, id DESC", tenant
        )
        return [row["id"] for row in rows]

    async def entries(self, conversation_id: str) -> list[str]:
        """Ids, the oldest first."""
        rows = await self.pool.fetch("SELECT id FROM entries WHERE conversation_id = $1 ORDER BY sent_at, id", conversation_id)
        return [row["id"] for row in rows]

    async def exported(self, asked: Mapping[str, Any]) -> tuple[dict[str, Any], bytes]:
        """An export made and read."""
        status, made = await self.ask("POST", "/api/exports", asked)
        assert status == 202, made
        while await self.worker.work():
            pass
        status, export = await self.ask("GET", f"/api/exports/{made['id']}")
        assert (status, export["state"]) == (200, "completed"), export
        status, data = await self.ask("GET", f"/api/exports/{made['id']}/file")
        assert status == 200
        return export, data

    async def expire(self) -> None:
        while await expire(self.pool, self.objects):
            pass

    def files(self) -> Sequence[str]:
        """Exports that the object store holds, begun ones too."""
        return sorted(path.name for path in self.folder.glob("exports/**/*") if path.is_file())


@asynccontextmanager
async def keeping(pool: Pool, tenants: Tenants, recorder: Recorder, folder: Path) -> AsyncIterator[Keeping]:
    tracing = Tracing("archive", TelemetrySettings())
    token, clock, objects = SecretStr(TOKEN), SystemClock(), open_objects(ObjectsSettings(url=str(folder)))
    cursors = Cursors(token)
    metrics = Metrics("archive")
    worker = ExportWorker(pool, tenants, objects, metrics, clock, days=7, at_once=1)
    stop = asyncio.Event()
    async with MemoryBus() as bus:
        outbox = Outbox(pool, bus, metrics)
        server = HttpServer(
            "archive",
            (
                *bookmarks.routes(pool, tenants, cursors, Changes()),
                *LabelRoutes(pool, outbox, tenants, cursors, Changes()).routes(),
                *marking.routes(outbox, Changes()),
                *retention.routes(pool, tenants),
                *ExportRoutes(pool, outbox, tenants, cursors, objects, worker, clock).routes(),
            ),
            host="127.0.0.1",
            port=0,
            authenticate={Access.INTERNAL: internal(token)},
            tracing=tracing,
            readiness={},
            title="Archive",
            version="1",
        )
        await server.start()
        async with asyncio.TaskGroup() as group, aiohttp.ClientSession() as session:
            group.create_task(server.run(stop))
            try:
                yield Keeping(f"http://127.0.0.1:{server.port}", session, pool, recorder, worker, objects, folder)
            finally:
                stop.set()
    tracing.close()


async def one_conversation(keep: Keeping) -> str:
    """Ana's: five entries, one of each interesting sort."""
    message = message_id()
    await keep.recorder.record(
        [
            received("w1", "Where is my <b>parcel</b>?"),
            released(message, "On its way,\n*soon*", seconds=60),
            sent(message, "wamid.out", seconds=61),
            received("w2", content={"type": "image", "image": {"id": "1", "caption": "=the door"}}, seconds=86_400),
            received("w3", "as written", seconds=86_401),
            received("w4", "a secret", seconds=86_402),
        ]
    )
    await keep.recorder.record(
        [stored("w2", "med_" + "0" * 26), edited("w3", "as edited", seconds=86_500), revoked("w4", seconds=86_600)]
    )
    (conversation,) = await keep.conversations()
    return conversation
