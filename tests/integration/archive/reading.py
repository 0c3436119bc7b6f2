"""What reads the archive, alone: its routes on a real PostgreSQL and Valkey, without what else the service does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from pydantic import SecretStr

from services.archive.cache import Changes, Reads
from services.archive.nearby import CHANNEL, LISTEN_SECONDS, Listener, Nearby
from services.archive.participants import turn
from services.archive.record import Recorder
from services.archive.routes import bookmarks, caching
from services.archive.routes.conversations import ConversationRoutes
from services.archive.routes.cursor import Cursors
from services.archive.routes.entries import EntryRoutes
from services.archive.routes.kept import Answers
from services.archive.routes.labels import LabelRoutes
from services.archive.tenants import Tenants
from services.archive.warm import Warmer
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.cache import Cache
from shared.config import RedisSettings, TelemetrySettings
from shared.db.pool import Pool
from shared.events.event import Event
from shared.http.internal import internal
from shared.http.routes import Access
from shared.http.server import HttpServer
from shared.ids import TenantId
from shared.redis import open_redis, open_waiting_redis
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.support.archive_events import TENANT

TOKEN: Final = "a token that the services share"


@dataclass
class Reader:
    """A process that answers readers, and one that records."""

    url: str
    session: aiohttp.ClientSession
    recorder: Recorder
    reads: Reads
    changes: Changes
    listener: Listener
    warmer: Warmer
    pool: Pool
    turnings: list[None]

    async def tell(self, *events: Event) -> None:
        await self.recorder.record(events)

    async def ask(
        self,
        path: str,
        query: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        body: Any = None,
        tenant: TenantId = TENANT,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON and headers of the answer."""
        sent = {"Authorization": f"Bearer {TOKEN}", "X-Chasqui-Tenant": tenant, **(headers or {})}
        async with self.session.request(method, self.url + path, params=query or {}, headers=sent, json=body) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def get(self, path: str, tenant: TenantId = TENANT, **query: str) -> Any:
        """The JSON of a success."""
        status, body, _ = await self.ask(path, query, tenant=tenant)
        assert status == 200, body
        return body

    async def only_conversation(self) -> Any:
        (conversation,) = (await self.get("/api/conversations"))["data"]
        return conversation

    async def turn_all(self) -> None:
        while await turn(self.pool, self.changes):
            pass

    def reads_of_database(self) -> int:
        """Answers that neither cache had."""
        counts: Any = self.reads.counts
        return int(counts["redis"]["misses"])


@asynccontextmanager
async def reader(
    pool: Pool,
    redis_url: str,
    *,
    seconds: int = 900,
    wake: Callable[[], None] | None = None,
    replica: Pool | None = None,
) -> AsyncIterator[Reader]:
    """Another one is another process, as far as the caches can tell. Nobody listens unless a test lets `listener` run."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis(RedisSettings(url=redis_url)))
        waiting = await stack.enter_async_context(open_waiting_redis(RedisSettings(url=redis_url), LISTEN_SECONDS))
        bus = await stack.enter_async_context(MemoryBus())
        tracing = Tracing("archive", TelemetrySettings())
        stack.callback(tracing.close)
        cache, nearby = Cache(redis, channel=CHANNEL), Nearby(1 << 20, 60)
        changes, reads = Changes(cache, nearby), Reads(cache, nearby)
        cursors = Cursors(SecretStr(TOKEN))
        answers = Answers(reads, conversation_seconds=seconds, list_seconds=300)
        entries = EntryRoutes(pool, replica or pool, cursors, answers)
        turnings: list[None] = []
        outbox = Outbox(pool, bus, Metrics("archive"))
        http = HttpServer(
            "archive",
            (
                *ConversationRoutes(pool, cursors, answers, outbox, changes, wake or (lambda: turnings.append(None))).routes(),
                *entries.routes(),
                *caching.routes(reads),
                *bookmarks.routes(pool, Tenants(pool), cursors, changes),
                *LabelRoutes(pool, outbox, Tenants(pool), cursors, changes).routes(),
            ),
            host="127.0.0.1",
            port=0,
            authenticate={Access.INTERNAL: internal(SecretStr(TOKEN))},
            tracing=tracing,
            readiness={},
            title="Reading",
            version="1",
        )
        stack.push_async_callback(http.close)
        await http.start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Reader(
            url=f"http://127.0.0.1:{http.port}",
            session=session,
            recorder=Recorder(pool, Tenants(pool), changes),
            reads=reads,
            changes=changes,
            listener=Listener(waiting, nearby),
            warmer=Warmer(redis, reads, entries.make_ready, 10),
            pool=pool,
            turnings=turnings,
        )
