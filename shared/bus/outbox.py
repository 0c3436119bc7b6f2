"""The transactional outbox: a change of state and its events commit together, then travel.

What a process wrote it relays itself, at once and from memory. What it could not - it died, or the bus was away - is a row whose
lease runs out, and any replica's sweep publishes it. A row is deleted when the bus has custody, so nothing is lost; a crash between
custody and deletion publishes twice, which consumers bear.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

import structlog

from shared.bus.interface import Bus, BusError, Refused, StopSignal
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.codec import Batch, encode
from shared.events.event import Event
from shared.run import Stage
from shared.telemetry.catalogue import BUS_PUBLISH_FAILURES_TOTAL, BUS_PUBLISHED_TOTAL, OUTBOX_OLDEST_AGE_SECONDS, OUTBOX_ROWS
from shared.telemetry.metrics import Metrics, Reading
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

_sql = Queries(Path(__file__).with_name("outbox_queries.sql"))
INSERT: Final = _sql["insert_outbox"]
LEASE: Final = _sql["lease_outbox"]
DELETE: Final = _sql["delete_outbox"]
END_LEASES: Final = _sql["end_leases"]
MEASURE: Final = _sql["measure_outbox"]

SWEEP_SECONDS: Final = 1.0
SWEEP_ROWS: Final = 100
MAX_PENDING_ROWS: Final = 1_000
"""Rows kept in memory for relaying; beyond it they wait in the table for the sweep."""
TELL_SECONDS: Final = 1.0
"""A bus that is away fails every publish: it is told no more often than this, with how many."""
LAST_PUBLISHES_SECONDS: Final = 6.0
"""At the end, longest wait for confirms that are on their way (a publish gives up after 5)."""


@dataclass(slots=True)
class Unit:
    """One transaction: what `connection` changes and what `emit` says become true together."""

    connection: Connection
    events: list[Event] = field(default_factory=list)

    def emit(self, *events: Event) -> None:
        """Publish these after the commit, if it comes."""
        self.events.extend(events)


@dataclass(slots=True)
class _Failures:
    """Publishes that failed and were not told yet."""

    batches: int = 0
    events: int = 0
    subject: str = ""
    error: str = ""

    def tell(self) -> None:
        """The last one as the example of all."""
        if self.batches:
            log.warning(
                "outbox.not_published", batches=self.batches, events=self.events, subject=self.subject, error=self.error
            )


OnTold = Callable[[Sequence[Event]], None]
"""Hears the events of each transaction that has committed; for counting, so it must not fail."""


class Outbox:
    """The outbox of one service in one process. On a local bus no other process uses this schema's outbox, so leases that a
    former run left behind are ended at once instead of waited for."""

    stage = Stage.RELAY

    def __init__(self, pool: Pool, bus: Bus, metrics: Metrics, on_told: OnTold | None = None) -> None:
        self.name = f"{metrics.service}.outbox"
        self._metrics = metrics
        self._on_told = on_told
        self._pool = pool
        self._bus = bus
        self._waiting: deque[tuple[int, Batch]] = deque()
        self._held: set[int] = set()
        self._published: list[int] = []
        self._wake = asyncio.Event()
        self._wake_deletes = asyncio.Event()
        self._wake_sweep = asyncio.Event()
        self._failures = _Failures()
        self._wake_teller = asyncio.Event()
        metrics.source("outbox", self._read)

    async def _read(self) -> Iterable[Reading]:
        ((rows, oldest_seconds),) = await self._pool.fetch(MEASURE)
        return (Reading(OUTBOX_ROWS, rows), Reading(OUTBOX_OLDEST_AGE_SECONDS, oldest_seconds))

    @property
    def _room(self) -> int:
        return max(0, MAX_PENDING_ROWS - len(self._held))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        """A transaction whose events leave when it has committed.

        An exception in the block rolls all of it back and passes through. Where the commit's answer is lost, the sweep finds the
        rows if they are there.
        """
        async with self._pool.acquire() as connection:
            unit = Unit(connection)
            async with connection.transaction():
                yield unit
                batches = encode(unit.events)
                rows = await self._insert(connection, batches) if batches else []
        if self._on_told is not None and unit.events:
            self._on_told(unit.events)
        self._take(islice(zip(rows, batches, strict=True), self._room))

    async def _insert(self, connection: Connection, batches: list[Batch]) -> list[int]:
        rows = await connection.fetch(
            INSERT, [b.subject for b in batches], [b.body for b in batches], [b.count for b in batches]
        )
        return [row["id"] for row in rows]

    def _take(self, rows: Iterable[tuple[int, Batch]]) -> None:
        for row_id, batch in rows:
            if row_id not in self._held:
                self._held.add(row_id)
                self._waiting.append((row_id, batch))
        self._wake.set()

    async def run(self, stop: StopSignal) -> None:
        """Relay and sweep until `stop`, then let publishes on their way end. Rows not published wait in the table."""
        if self._bus.is_local:
            await self._pool.execute(END_LEASES)
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._sweep(), name=f"{self.name}.sweep"),
                group.create_task(self._delete_published(), name=f"{self.name}.delete"),
                group.create_task(self._tell_failures(), name=f"{self.name}.tell"),
            ]
            publishes: set[asyncio.Task[None]] = set()
            stopping = group.create_task(stop.wait(), name=f"{self.name}.stop")
            while not stop.is_set():
                self._wake.clear()
                while self._waiting:
                    row_id, batch = self._waiting.popleft()
                    task = group.create_task(self._publish(row_id, batch), name=f"{self.name}.publish")
                    publishes.add(task)
                    task.add_done_callback(publishes.discard)
                woken = group.create_task(self._wake.wait(), name=f"{self.name}.wake")
                await asyncio.wait((woken, stopping), return_when=asyncio.FIRST_COMPLETED)
                woken.cancel()
            for row_id, batch in self._waiting:  # what the last handlers wrote
                publishes.add(group.create_task(self._publish(row_id, batch), name=f"{self.name}.publish"))
            if publishes and not self._bus.is_local:
                await asyncio.wait(publishes, timeout=LAST_PUBLISHES_SECONDS)
            for task in (*publishes, *tasks):
                task.cancel()
        self._failures.tell()
        try:
            await self._flush_deletes()
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("outbox.delete_unavailable", error=type(error).__name__)  # a sweep publishes those rows once more

    async def _publish(self, row_id: int, batch: Batch) -> None:
        try:
            await self._bus.publish(batch)
        except BusError as error:
            # The row stays: its lease runs out and a sweep tries again.
            failures = self._failures
            failures.batches, failures.events = failures.batches + 1, failures.events + batch.count
            failures.subject, failures.error = batch.subject, type(error).__name__
            self._wake_teller.set()
            self._metrics.count(BUS_PUBLISH_FAILURES_TOTAL, "refused" if isinstance(error, Refused) else "uncertain")
            self._held.discard(row_id)
        else:
            self._metrics.count(BUS_PUBLISHED_TOTAL, batch.subject, by=batch.count)
            self._published.append(row_id)
            self._wake_deletes.set()

    async def _tell_failures(self) -> None:
        while True:
            await self._wake_teller.wait()
            self._wake_teller.clear()
            failures, self._failures = self._failures, _Failures()
            failures.tell()
            await asyncio.sleep(TELL_SECONDS)

    async def _sweep(self) -> None:
        """Lease what memory has room for. While the table has more, the bus sets the pace: each bulk that it takes makes room."""
        while True:
            self._wake_sweep.clear()
            asked = min(SWEEP_ROWS, self._room)
            leased = await self._lease(asked) if asked else []
            self._take(leased)
            if not asked:
                await self._room_or_time()
            elif len(leased) < asked:
                await asyncio.sleep(SWEEP_SECONDS)

    async def _lease(self, limit: int) -> list[tuple[int, Batch]]:
        try:
            rows = await self._pool.fetch(LEASE, limit)
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("outbox.sweep_unavailable", error=type(error).__name__)
            return []
        return [(row["id"], Batch(row["subject"], row["body"], row["events"])) for row in rows]

    async def _room_or_time(self) -> None:
        """Room that refusals leave waits for the clock: a bus that is away is asked at a calm pace."""
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_SECONDS):
                await self._wake_sweep.wait()

    async def _delete_published(self) -> None:
        """Delete in bulk: while one statement runs, the next one's rows gather."""
        while True:
            await self._wake_deletes.wait()
            self._wake_deletes.clear()
            try:
                await self._flush_deletes()
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("outbox.delete_unavailable", error=type(error).__name__)
                await asyncio.sleep(SWEEP_SECONDS)
                self._wake_deletes.set()

    async def _flush_deletes(self) -> None:
        if not self._published:
            return
        rows, self._published = self._published, []
        try:
            await self._pool.execute(DELETE, rows)
        except BaseException:
            self._published.extend(rows)
            raise
        self._held.difference_update(rows)
        self._wake_sweep.set()
