"""Exports that are made beside the requests: few at a time a process, each under a lease, its file in the object store.

A worker that stops gives its export back; of one that died the lease runs out. Either way another one starts over with a file of
its own, so half a file is never read. Files go when their time is over, when the export is deleted, and when it comes to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, asynccontextmanager
from typing import Final

import asyncpg
import orjson
import structlog

from services.archive.domain.export import Format, Scope
from services.archive.exports.media import Media
from services.archive.exports.source import Source
from services.archive.exports.write import Tally, file_name, mime_type, write
from services.archive.store import exports as store
from services.archive.tenants import Tenants
from shared.bus.interface import StopSignal
from shared.clock import Clock
from shared.db.pool import Pool
from shared.every import Every
from shared.ids import TenantId
from shared.objects.store import ObjectsAway, ObjectStore
from shared.run import Stage
from shared.telemetry.catalogue import EXPORTS_ENDED_TOTAL
from shared.telemetry.metrics import Metrics
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 3.0
"""How often an export says how far it is, and learns that it was canceled."""
LOOK_SECONDS: Final = 5.0
"""How often a worker looks for work that it was not told of."""
AWAY_SECONDS: Final = 1.0
RELEASE_SECONDS: Final = 2.0
MOST_RUNS: Final = 20
"""An export that so many workers did not bring to its end is given up."""
EXPIRE_SECONDS: Final = 60.0
CLEAR_AT_ONCE: Final = 100
KEPT_DAYS: Final = 30
"""How long the row of an export that ended is kept for its list."""


class _Taken(Exception):
    """The export was canceled, deleted, or taken by another worker."""


class ExportWorker:
    """Makes `at_once` exports. `wake` says that there is one."""

    name: Final = "archive.exports"
    stage: Final = Stage.WORK

    def __init__(
        self, pool: Pool, tenants: Tenants, objects: ObjectStore, metrics: Metrics, clock: Clock, *, days: int, at_once: int
    ) -> None:
        """`days`: how long a file is kept."""
        self._pool = pool
        self._tenants = tenants
        self._objects = objects
        self._metrics = metrics
        self._clock = clock
        self._days = days
        self._at_once = at_once
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is work now."""
        self._wake.set()

    async def run(self, stop: StopSignal) -> None:
        """Work until `stop`; what is in hand then is given back."""
        async with asyncio.TaskGroup() as group:
            hands = [group.create_task(self._work(stop), name=f"{self.name}.{number}") for number in range(self._at_once)]
            await stop.wait()
            self.wake()
            for hand in hands:
                hand.cancel()

    async def _work(self, stop: StopSignal) -> None:
        while not stop.is_set():  # what breaks at the same moment may come in a cancellation's place
            self._wake.clear()
            seconds = LOOK_SECONDS
            try:
                if await self.work():
                    continue
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("job.unavailable", job=self.name, error=type(error).__name__)
                seconds = AWAY_SECONDS
            try:
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
            except TimeoutError:
                pass

    async def work(self) -> bool:
        """Make one export; False where there is none to make. What is unavailable passes through, and the export waits for it."""
        row = await store.claim(self._pool, lease_seconds=LEASE_SECONDS)
        if row is None:
            return False
        log.info("export.begun", export_id=row["id"], run=row["run"], format=row["format"])
        try:
            for run in range(1, row["run"]):  # what workers left that did not end
                await self._objects.delete(_key(row, run))
            if row["run"] > MOST_RUNS:
                await self._fail(row, "export.given_up")
                return True
            await self._make(row)
        except asyncio.CancelledError:
            await self._release(row)
            raise
        except Exception as error:
            leaves = list(_leaves(error))
            if any(isinstance(leaf, _Taken) for leaf in leaves):
                log.info("export.taken", export_id=row["id"], run=row["run"])
                await store.leave(self._pool, row["id"], row["run"])
            elif all(is_unavailable(leaf) for leaf in leaves):
                await self._release(row)
                raise leaves[0] from None
            else:
                log.error("export.failed", export_id=row["id"], exc_info=error)
                await self._fail(row, "export.failed")
        return True

    async def _fail(self, row: asyncpg.Record, code: str) -> None:
        await store.fail(self._pool, row["id"], row["run"], code)
        self._metrics.count(EXPORTS_ENDED_TOTAL, "failed")

    async def _release(self, row: asyncpg.Record) -> None:
        """Give it back; where that fails, its lease runs out."""
        try:
            async with asyncio.timeout(RELEASE_SECONDS):
                await store.release(self._pool, row["id"], row["run"])
        except Exception as error:
            if not is_unavailable(error):
                raise

    async def _make(self, row: asyncpg.Record) -> None:
        tenant, form, scope = TenantId(row["tenant_id"]), Format(row["format"]), Scope.read(orjson.loads(row["scope"]))
        tally, moment = Tally(), self._clock.now()
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(self._beat(row, tally), name=f"{self.name}.beat")
            async with (
                opened(self._pool, self._tenants, tenant, scope) as source,
                aclosing(write(form, scope, source, Media(self._objects, tenant), tally, moment)) as parts,
            ):
                title = await source.title()
                written = await self._objects.put(row["object_key"], parts)
            beat.cancel()
        done = await store.complete(
            self._pool,
            row["id"],
            row["run"],
            self._days,
            _progress(tally),
            written.sha256,
            mime_type(form, scope),
            file_name(form, scope, title, moment),
        )
        if not done:
            await self._objects.delete(row["object_key"])
            raise _Taken
        self._metrics.count(EXPORTS_ENDED_TOTAL, "completed")
        log.info("export.completed", export_id=row["id"], entries=tally.entries, size_bytes=tally.size_bytes)

    async def _beat(self, row: asyncpg.Record, tally: Tally) -> None:
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            if not await store.extend(self._pool, row["id"], row["run"], _progress(tally), lease_seconds=LEASE_SECONDS):
                raise _Taken


@asynccontextmanager
async def opened(pool: Pool, tenants: Tenants, tenant: TenantId, scope: Scope) -> AsyncGenerator[Source, None]:
    """What an export reads, as the archive is at this moment."""
    tenant_no = await tenants.known(tenant)
    async with store.snapshot(pool) as connection:
        yield Source(connection, tenant, tenant_no, scope)


def expire_job(pool: Pool, objects: ObjectStore) -> Every:
    """Ends exports and clears their files."""
    return Every("archive.expire_exports", EXPIRE_SECONDS, lambda: expire(pool, objects))


async def expire(pool: Pool, objects: ObjectStore) -> bool:
    """End exports whose time is over, and take away the files that nobody may read any more; True where there may be more."""
    expired = await store.expire(pool, limit=CLEAR_AT_ONCE)
    rows = await store.to_clear(pool, limit=CLEAR_AT_ONCE)
    gone = []
    for row in rows:
        try:
            await objects.delete(row["object_key"])
        except ObjectsAway as error:
            log.warning("export.not_cleared", export_id=row["id"], error=str(error))
            continue
        gone.append(row["id"])
    if gone:
        await store.cleared(pool, gone)
        log.info("export.cleared", exports=len(gone))
    pruned = await store.prune(pool, days=KEPT_DAYS, limit=CLEAR_AT_ONCE)
    return bool(gone) and CLEAR_AT_ONCE in {expired, len(rows), pruned}


def _progress(tally: Tally) -> store.Progress:
    return store.Progress(tally.entries, tally.media, tally.media_missing, tally.size_bytes)


def _key(row: asyncpg.Record, run: int) -> str:
    """The file of a run, as `claim_export` names it."""
    return f"exports/{row['tenant_id']}/{row['id']}-{run}"


def _leaves(error: Exception) -> Iterator[Exception]:
    """What went wrong, out of the groups that tasks raise it in."""
    if isinstance(error, ExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error
