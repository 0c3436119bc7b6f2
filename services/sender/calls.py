"""The calls of one process: each message when its number has a slot for it, so many at once, every outcome written down in bulk.

A fixed crew of workers makes the calls. Nothing is created per message but the request itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from services.sender.caller import Caller, Job
from services.sender.domain.attempt import AttemptId
from services.sender.lines import Lines
from services.sender.recorder import RECORDERS, Ended, Recorder
from shared.bus.interface import StopSignal
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.limits.limiter import Limiter, Line
from shared.run import Stage
from shared.telemetry.metrics import Metrics

PATIENCE_SECONDS: Final = 5.0
"""A job that got no slot for so long goes back, where it can be overtaken and canceled. Its lease must not end meanwhile."""
ASK_SECONDS: Final = 0.005
SLOT_HORIZON_SECONDS: Final = 1.0
OVERDUE_SECONDS: Final = 0.5
OVERDUE_WAIT_SECONDS: Final = 2.0
DRAINING: Final = "sender.draining"
OVERDUE: Final = "sender.overdue"


class Calls:
    """Makes the calls it is given. As a component it ends when all of them are made and written down; told to stop, it gives back
    those whose turn has not come.

    At most `max_in_flight` messages are between claim and recorded outcome, of which `concurrency` are in a call, of one number at
    most `per_number`.
    """

    name = "sender.calls"
    stage = Stage.WORK

    def __init__(
        self,
        outbox: Outbox,
        caller: Caller,
        limiter: Limiter,
        clock: Clock,
        metrics: Metrics,
        *,
        concurrency: int,
        per_number: int,
        max_in_flight: int,
    ) -> None:
        self._caller = caller
        self._limiter = limiter
        self._clock = clock
        self._concurrency = concurrency
        self._max_in_flight = max_in_flight
        self._recorder = Recorder(outbox, clock, metrics, self._recorded)
        self._lines: Lines[Job] = Lines(per_number=per_number, in_all=concurrency)
        self._idle: list[asyncio.Future[Job]] = []
        self._held: set[AttemptId] = set()
        self._in_call: dict[int, Job] = {}
        """By worker."""
        self._freed = asyncio.Event()
        self._changed = asyncio.Event()
        self._some_wait = asyncio.Event()
        self._is_closing = False
        self.is_open = False

    @property
    def instance(self) -> str:
        """The name under which attempts are claimed."""
        return self._caller.journal.instance

    def loads(self) -> dict[str, tuple[int, int]]:
        """By the group of a number's line: jobs that wait and jobs in call, for operators."""
        return self._lines.loads()

    def in_hand(self) -> tuple[Collection[Job], Collection[Job]]:
        """The jobs that wait, and those in call, for operators."""
        return self._lines.waiting_jobs(), self._in_call.values()

    def backlog_seconds(self, line: Line) -> float:
        """How long a number needs for what waits here, at its present pace."""
        return self._lines.backlog_seconds(line)

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
        """Call each of these when its number has a slot."""
        now = asyncio.get_running_loop().time()
        for job in jobs:
            self._lines.add(job.number.limits.line, job.event.tier, job, now)
        if self._is_closing:
            self._give_back(self._lines.clear(), DRAINING)
        self._some_wait.set()

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._hand_out(), name="sender.hand_out"),
                group.create_task(self._ask_for_slots(), name="sender.slots"),
            ]
            tasks += [group.create_task(self._work(n), name=f"sender.call.{n}") for n in range(self._concurrency)]
            tasks += [group.create_task(self._recorder.run(), name=f"sender.record.{n}") for n in range(RECORDERS)]
            self.is_open = True
            await stop.wait()
            self.is_open = False
            self._is_closing = True
            self._give_back(self._lines.clear(), DRAINING)
            while self._held:
                await self._until_freed()
            for task in tasks:
                task.cancel()
        self._caller.journal.close()

    async def _hand_out(self) -> None:
        """Wake idle workers when there is a job that may leave."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            while self._idle and (job := self._lines.take(loop.time())) is not None:
                self._idle.pop().set_result(job)
            moment = self._lines.next_moment() if self._idle else None
            try:
                async with asyncio.timeout_at(moment):
                    await self._changed.wait()
            except TimeoutError:
                pass

    async def _ask_for_slots(self) -> None:
        """Get slots for the numbers that have too few, all in one round trip; send back the jobs that waited too long."""
        loop = asyncio.get_running_loop()
        look_at = 0.0
        while True:
            if not self._lines.waiting:
                self._some_wait.clear()
                await self._some_wait.wait()
            now = loop.time()
            if now >= look_at:
                self._give_back(self._lines.overdue(now - PATIENCE_SECONDS), OVERDUE, OVERDUE_WAIT_SECONDS)
                look_at = now + OVERDUE_SECONDS
            if wanted := self._lines.wanting(now):
                granted = await self._limiter.slots(wanted, horizon_seconds=SLOT_HORIZON_SECONDS)
                now = loop.time()
                for line, count in wanted.items():
                    slots = granted[line.group]
                    waits, next_wait = slots.waits_seconds, slots.retry_seconds
                    self._lines.add_slots(
                        line,
                        [now + wait for wait in waits],
                        asked=count,
                        ask_again_at=now if waits else now + next_wait - SLOT_HORIZON_SECONDS,
                        step=next_wait - waits[-1] if waits else None,
                    )
                self._changed.set()
            await self._clock.sleep(ASK_SECONDS)

    async def _work(self, worker: int) -> None:
        loop = asyncio.get_running_loop()
        while True:
            job = self._lines.take(loop.time())
            if job is None:
                idle: asyncio.Future[Job] = loop.create_future()
                self._idle.append(idle)
                self._changed.set()
                job = await idle
            self._in_call[worker] = job
            try:
                ended = await self._caller.call(job)
            finally:
                del self._in_call[worker]
                self._lines.done(job.number.limits.line)
            self._recorder.put(ended)

    def _give_back(self, jobs: Iterable[Job], code: str, seconds: float = 0.0) -> None:
        for job in jobs:
            self._recorder.put(self._caller.give_back(job, code, seconds))

    def _recorded(self, ended: Sequence[Ended]) -> None:
        attempts = [one.settled.head.attempt for one in ended]
        for attempt in attempts:
            self._caller.journal.settled(attempt)
        self.let_go(attempts)

    async def _until_freed(self) -> None:
        self._freed.clear()
        await self._freed.wait()
