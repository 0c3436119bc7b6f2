"""The calls of one process: each message at its moment, so many at once, every outcome written down in bulk.

A fixed crew of workers makes the calls; outcomes gather while a transaction runs and go into the next one. Nothing here is created
per message but the request itself.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import aiohttp
import structlog

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import NotSent, Outcome, Sent, backoff_seconds, settle
from services.sender.journal import Journal
from services.sender.numbers import Number
from services.sender.provider import client
from services.sender.store import attempts
from services.sender.store.attempts import Settled, event_of
from shared.bus.interface import StopSignal
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.events.catalogue import MessageReleased
from shared.run import Stage
from shared.telemetry.tracing import Tracing
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

PATIENCE_SECONDS: Final = 5.0
"""A job that no worker took for so long after its moment goes back: its reserved moment is worth nothing any more, and it must not
be called when its lease is over."""
RECORD_LIMIT: Final = 256
RECORDERS: Final = 2
RECORD_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Job:
    """An attempt that is claimed and may leave at `moment`, in seconds of the loop's clock."""

    event: MessageReleased
    attempt: AttemptId
    number: Number
    moment: float


class Calls:
    """Makes the calls it is given. As a component it ends when all of them are made and written down; told to stop, it gives back
    those whose turn has not come.

    At most `max_in_flight` messages are between claim and recorded outcome, of which `concurrency` are in a call.
    """

    name = "sender.calls"
    stage = Stage.WORK

    def __init__(
        self,
        outbox: Outbox,
        session: aiohttp.ClientSession,
        journal: Journal,
        tracing: Tracing,
        clock: Clock,
        *,
        concurrency: int,
        max_in_flight: int,
    ) -> None:
        self._outbox = outbox
        self._session = session
        self._journal = journal
        self._tracing = tracing
        self._clock = clock
        self._concurrency = concurrency
        self._max_in_flight = max_in_flight
        self._held: set[AttemptId] = set()
        self._freed = asyncio.Event()
        self._later: list[tuple[float, int, Job]] = []
        self._count = 0
        self._line_changed = asyncio.Event()
        self._due: asyncio.PriorityQueue[tuple[int, int, Job]] = asyncio.PriorityQueue()
        self._ended: deque[Settled] = deque()
        self._some_ended = asyncio.Event()
        self._closing = asyncio.Event()
        self.is_open = False

    @property
    def instance(self) -> str:
        """The name under which attempts are claimed."""
        return self._journal.instance

    async def hold(self, jobs: Sequence[Job]) -> list[Job]:
        """Wait for room and take these in hand, each attempt once; what is in hand already is left out.

        `begin` or `let_go` must follow for each. Taken before its claim, an attempt told twice at once is claimed once.
        """
        while self._held and len(self._held) + len(jobs) > self._max_in_flight:
            await self._until_freed()
        taken = []
        for job in jobs:
            if job.attempt not in self._held:
                self._held.add(job.attempt)
                taken.append(job)
        return taken

    def let_go(self, ended: Iterable[AttemptId]) -> None:
        """These are not in hand any more."""
        self._held.difference_update(ended)
        self._freed.set()

    def begin(self, jobs: Sequence[Job]) -> None:
        """Call each of these at its moment."""
        now = asyncio.get_running_loop().time()
        for job in jobs:
            if job.moment <= now:
                self._put_due(job)
            else:
                self._count += 1
                heapq.heappush(self._later, (job.moment, self._count, job))
        self._line_changed.set()

    def _put_due(self, job: Job) -> None:
        self._count += 1
        self._due.put_nowait((job.event.tier, self._count, job))

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._stand_in_line(), name="sender.line")]
            tasks += [group.create_task(self._work(), name=f"sender.call.{n}") for n in range(self._concurrency)]
            tasks += [group.create_task(self._record_ended(), name=f"sender.record.{n}") for n in range(RECORDERS)]
            self.is_open = True
            await stop.wait()
            self.is_open = False
            self._closing.set()
            self._line_changed.set()
            while self._held:
                await self._until_freed()
            for task in tasks:
                task.cancel()
        self._journal.close()

    async def _stand_in_line(self) -> None:
        """Hand each job to the workers when its moment has come; all of them when the process is closing."""
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            while self._later and (self._later[0][0] <= now or self._closing.is_set()):
                self._put_due(heapq.heappop(self._later)[2])
            self._line_changed.clear()
            try:
                async with asyncio.timeout_at(self._later[0][0] if self._later else None):
                    await self._line_changed.wait()
            except TimeoutError:
                pass

    async def _work(self) -> None:
        while True:
            _, _, job = await self._due.get()
            self._ended.append(await self._call(job))
            self._some_ended.set()

    async def _call(self, job: Job) -> Settled:
        event, started_at = job.event, self._clock.now()
        if reason := self._reason_not_to_call(job, started_at):
            return self._settled(job, started_at, NotSent(reason, counted=False), event.traceparent)
        with self._tracing.span("POST messages", kind="client", traceparent=event.traceparent) as span:
            departing = client.Departing(
                client.request_body(job.attempt, event.to, event.content), lambda: self._journal.departed(job.attempt)
            )
            outcome = settle(await client.send(self._session, job.number.route, departing, span.traceparent), event.failures)
            span.set(message_id=event.message_id, attempt=event.attempt, outcome=type(outcome).__name__.lower())
            if not isinstance(outcome, Sent):
                span.fail(outcome.code)
            return self._settled(job, started_at, outcome, span.traceparent)

    def _reason_not_to_call(self, job: Job, now: datetime) -> str | None:
        """Why a job goes back although its turn has come: it is asked at the last moment, for the wait may have been long."""
        if self._closing.is_set():
            return "sender.draining"
        if job.event.expires_at is not None and now >= job.event.expires_at:
            return "message.expired"  # the scheduler, which gets it back, tells so
        if asyncio.get_running_loop().time() - job.moment > PATIENCE_SECONDS:
            return "sender.overdue"
        return None

    def _settled(self, job: Job, started_at: datetime, outcome: Outcome, traceparent: str | None) -> Settled:
        retry_at = None
        if isinstance(outcome, NotSent):
            backoff = backoff_seconds(job.event.failures + 1, random.random())  # noqa: S311  # spreads load, guards nothing
            wait = outcome.after if outcome.after is not None else backoff if outcome.counted else 0.0
            retry_at = self._clock.now() + timedelta(seconds=wait)
        return Settled(job.attempt, job.event.tenant_id, traceparent, started_at, outcome, retry_at)

    async def _record_ended(self) -> None:
        """Write outcomes down as they come; while one transaction runs, the next one's gather."""
        while True:
            if not self._ended:
                self._some_ended.clear()
                await self._some_ended.wait()
                continue
            taken = [self._ended.popleft() for _ in range(min(RECORD_LIMIT, len(self._ended)))]
            await self._record(taken)
            self.let_go(one.attempt for one in taken)

    async def _record(self, ended: Sequence[Settled]) -> None:
        """Write outcomes and tell them, in one transaction. While the database is away they are kept and tried again: a call
        that was made is not forgotten because a table could not be reached."""
        while True:
            try:
                async with self._outbox.transaction() as unit:
                    new = await attempts.record(unit.connection, ended)
                    unit.emit(*(event_of(one) for one in ended if one.attempt in new))
                break
            except Exception as error:
                if not is_unavailable(error):
                    raise
                log.warning("sender.outcomes_kept", attempts=len(ended), error=type(error).__name__)
                await self._clock.sleep(RECORD_RETRY_SECONDS)
        for one in ended:
            self._journal.settled(one.attempt)

    async def _until_freed(self) -> None:
        self._freed.clear()
        await self._freed.wait()
