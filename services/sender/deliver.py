"""Send released messages: pace, claim, call once, tell the outcome. Everything but the call itself is done in bulk.

A released message is in the bus's custody until its attempt is claimed, then in this table's; so the delivery is acknowledged as
soon as the calls are under way, and a slow provider holds no delivery in hand.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import aiohttp
import structlog

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import NotSent, Outcome, backoff_seconds, settle
from services.sender.journal import Journal
from services.sender.numbers import Number, Numbers
from services.sender.provider import client
from services.sender.store import attempts
from services.sender.store.attempts import Settled, event_of
from shared.batching import Batcher
from shared.bus.interface import StopSignal
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.errors import BatchFailed, Retry
from shared.events.catalogue import MessageDeferred, MessageReleased
from shared.limits.pacing import Pacing
from shared.run import Stage
from shared.telemetry.tracing import Tracing
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

HORIZON_SECONDS: Final = 1.0
"""A message that would have to wait longer for its turn goes back to the scheduler, where it can be overtaken and canceled."""
LEASE_SECONDS: Final = 60.0
"""Longer than the horizon and a call together, by far."""
RECORD_RETRY_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class _Job:
    event: MessageReleased
    number: Number
    wait_seconds: float

    @property
    def attempt(self) -> AttemptId:
        return AttemptId(self.event.message_id, self.event.attempt)


class Delivery:
    """The sends of one process. `take` is fed by the bus; `run` carries the calls and ends when all of them have.

    At most `max_in_flight` messages are between claim and recorded outcome, of which `concurrency` are in a call.
    """

    name = "sender.delivery"
    stage = Stage.WORK

    def __init__(
        self,
        outbox: Outbox,
        numbers: Numbers,
        pacing: Pacing,
        session: aiohttp.ClientSession,
        journal: Journal,
        tracing: Tracing,
        clock: Clock,
        *,
        concurrency: int,
        max_in_flight: int,
    ) -> None:
        self._outbox = outbox
        self._numbers = numbers
        self._pacing = pacing
        self._session = session
        self._journal = journal
        self._tracing = tracing
        self._clock = clock
        self._calls = asyncio.Semaphore(concurrency)
        self._max_in_flight = max_in_flight
        self._in_flight = 0
        self._freed = asyncio.Event()
        self._closing = asyncio.Event()
        self._tasks: asyncio.TaskGroup | None = None
        self._results: Batcher[Settled, None] = Batcher(
            "sender.results", self._record, max_waiting=max_in_flight + 1, concurrency=2
        )

    async def run(self, stop: StopSignal) -> None:
        recorded = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._results.run(recorded), name="sender.results")
            self._tasks = tasks
            await stop.wait()
            self._closing.set()
            while self._in_flight:
                await self._until_freed()
            recorded.set()
        self._journal.close()

    async def take(self, released: Sequence[MessageReleased]) -> None:
        """Start sending these; returns when their attempts are claimed. An attempt told before is not sent again: where its outcome
        is known, it is told again.

        Raises `Retry` while this process is starting or stopping, `BatchFailed` for numbers that are not known yet.
        """
        if self._tasks is None or self._closing.is_set():
            raise Retry("sender.not_running", after=1, counted=False)
        numbers = await self._numbers.of({event.number_id for event in released})
        known = [event for event in released if event.number_id in numbers]
        jobs, late = await self._pace(known, numbers)
        if late:
            async with self._outbox.transaction() as unit:
                unit.emit(*late)
        if jobs:
            await self._start(jobs)
        if len(known) < len(released):
            raise BatchFailed(
                {e.event_id: Retry("number.not_yet_known", after=1) for e in released if e.number_id not in numbers}
            )

    async def _pace(
        self, released: Sequence[MessageReleased], numbers: dict[str, Number]
    ) -> tuple[list[_Job], list[MessageDeferred]]:
        """Reserve each message's moment, most urgent first; those beyond the horizon are deferred to when there is room."""
        if not released:
            return [], []
        urgent_first = sorted(released, key=lambda event: event.tier)
        wanted: dict[str, int] = {}
        for event in urgent_first:
            key = numbers[event.number_id].pace_key
            wanted[key] = wanted.get(key, 0) + 1
        rates = {number.pace_key: number.rate for number in numbers.values()}
        grants = await self._pacing.reserve({key: (rates[key], n) for key, n in wanted.items()}, HORIZON_SECONDS)
        waits = {key: iter(grant.waits_seconds) for key, grant in grants.items()}
        jobs, late, now = [], [], self._clock.now()
        for event in urgent_first:
            number = numbers[event.number_id]
            wait = next(waits[number.pace_key], None)
            if wait is not None:
                jobs.append(_Job(event, number, wait))
                continue
            late.append(
                MessageDeferred(
                    tenant_id=event.tenant_id,
                    traceparent=event.traceparent,
                    message_id=event.message_id,
                    attempt=event.attempt,
                    retry_at=now + timedelta(seconds=grants[number.pace_key].retry_seconds),
                    code="number.pace",
                    counted=False,
                )
            )
        return jobs, late

    async def _start(self, jobs: Sequence[_Job]) -> None:
        """Claim the attempts, then call; those claimed before are answered from the table."""
        while self._in_flight and self._in_flight + len(jobs) > self._max_in_flight:
            await self._until_freed()
        self._in_flight += len(jobs)
        mine: set[AttemptId] = set()
        try:
            async with self._outbox.transaction() as unit:
                mine = await attempts.claim(
                    unit.connection,
                    [job.event for job in jobs],
                    instance=self._journal.instance,
                    lease_seconds=LEASE_SECONDS,
                )
                others = [job.attempt for job in jobs if job.attempt not in mine]
                if others:
                    unit.emit(*(event_of(ended) for ended in await attempts.outcomes(unit.connection, others)))
        finally:
            self._free(len(jobs) - len(mine))
        assert self._tasks is not None  # take() has looked
        begun: set[AttemptId] = set()
        for job in jobs:
            if job.attempt in mine and job.attempt not in begun:
                begun.add(job.attempt)
                self._tasks.create_task(self._deliver(job), name=f"sender.attempt.{job.attempt}")

    async def _deliver(self, job: _Job) -> None:
        try:
            await self._pause(job.wait_seconds)
            async with self._calls:
                ended = await self._call(job)
            await self._results.submit(ended)
        finally:
            self._free(1)

    async def _call(self, job: _Job) -> Settled:
        event, started_at = job.event, self._clock.now()
        traceparent = event.traceparent
        outcome: Outcome
        if self._closing.is_set():
            outcome = NotSent("sender.draining", counted=False)
        else:
            with self._tracing.span("POST messages", kind="client", traceparent=event.traceparent) as span:
                span.set(message_id=event.message_id, attempt=event.attempt)
                departure = client.Departure(lambda: self._journal.departed(job.attempt))
                body = client.request_body(job.attempt, event.to, event.content)
                outcome = await client.send(self._session, job.number.route, body, departure, span.traceparent)
                outcome = settle(outcome, event.failures)
                span.set(outcome=type(outcome).__name__.lower())
                if code := getattr(outcome, "code", None):
                    span.fail(code)
                traceparent = span.traceparent
        retry_at = None
        if isinstance(outcome, NotSent):
            backoff = backoff_seconds(event.failures + 1, random.random())  # noqa: S311  # spreads load, guards nothing
            wait = outcome.after if outcome.after is not None else backoff if outcome.counted else 0.0
            retry_at = self._clock.now() + timedelta(seconds=wait)
        return Settled(job.attempt, event.tenant_id, traceparent, started_at, outcome, retry_at)

    async def _record(self, ended: Sequence[Settled]) -> Sequence[None]:
        """Write outcomes and tell them, in one transaction. While the database is away they are kept and tried again: a call that was
        made is not forgotten because a table could not be reached."""
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
        return [None] * len(ended)

    async def _pause(self, seconds: float) -> None:
        """Wait for the message's turn, or for the process to end."""
        if seconds <= 0 or self._closing.is_set():
            return
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass

    async def _until_freed(self) -> None:
        self._freed.clear()
        await self._freed.wait()

    def _free(self, count: int) -> None:
        self._in_flight -= count
        self._freed.set()
