"""The lines in which claimed messages wait for their turn, one per number. No I/O; times are seconds of one monotonic clock.

A slot, a moment at which a message of the number may leave, belongs to the number: when it comes, the most urgent job takes it,
so a critical message waits for the next slot only. A slot that could not be used within `LATE_SECONDS`, because calls hang or the
process is busy, is dropped and asked for anew: a heap of old slots must not meet what other processes were granted meanwhile.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from shared.limits.limiter import Line

LATE_SECONDS: Final = 0.02
"""As much as the margin between a number's pace and its limit makes good (`limits.PACE_SHARE`)."""
FEWEST_AHEAD: Final = 4
"""Slots a number may hold at least, however many numbers share the process."""
TIERS: Final = 4

J = TypeVar("J")


@dataclass(slots=True)
class _Queue(Generic[J]):
    """One number's jobs, most urgent first, and its slots, earliest first.

    `ready_as` is the tier under which it stands among those that may go, `next_at` the moment its timer is set to.
    """

    line: Line
    jobs: list[tuple[int, int, float, J]] = field(default_factory=list)
    slots: deque[float] = field(default_factory=deque)
    step: float = 0.0
    asked: int = 0
    in_call: int = 0
    ready_as: int | None = None
    next_at: float | None = None
    ask_at: float = 0.0


class Lines(Generic[J]):
    """At most `per_number` jobs of a number and `in_all` of all are taken at once; `done` makes room."""

    def __init__(self, *, per_number: int, in_all: int) -> None:
        self._per_number = per_number
        self._in_all = in_all
        self._queues: dict[str, _Queue[J]] = {}
        self._ready: tuple[deque[_Queue[J]], ...] = tuple(deque() for _ in range(TIERS))
        self._timers: list[tuple[float, int, _Queue[J]]] = []
        self._count = 0
        self._turn = 0
        self.in_call = 0
        self.waiting = 0

    def add(self, line: Line, tier: int, job: J, now: float) -> None:
        """The job may leave when its number has a slot."""
        queue = self._queue(line)
        self._count += 1
        self.waiting += 1
        heapq.heappush(queue.jobs, (tier, self._count, now, job))
        if queue.ready_as is None or tier < queue.ready_as:
            self._place(queue)

    def add_slots(
        self, line: Line, moments: Iterable[float], *, asked: int = 0, ask_again_at: float = 0.0, step: float | None = None
    ) -> None:
        """The number has got these; `asked` of those that `wanting` named are answered, and no more are before `ask_again_at`. They
        are `step` seconds apart, as far as that was told."""
        queue = self._queue(line)
        queue.asked -= asked
        if step is not None:
            queue.step = step
        queue.ask_at = ask_again_at
        queue.slots.extend(moments)
        self._place(queue)

    def backlog_seconds(self, line: Line) -> float:
        """How long the number needs for what waits, at its present pace."""
        queue = self._queues.get(line.group)
        return 0.0 if queue is None else len(queue.jobs) * max(queue.step, 1 / line.rate.per_second)

    def take(self, now: float) -> J | None:
        """The next job that may leave now, most urgent first, numbers in turn; `done` must follow."""
        self._wake(now)
        if self.in_call >= self._in_all:
            return None
        for tier, ready in enumerate(self._ready):
            while ready:
                queue = ready.popleft()
                if queue.ready_as != tier:
                    continue  # stands in another tier meanwhile
                queue.ready_as = None
                if not self._may_go(queue, now):
                    self._place(queue)
                    continue
                if queue.jobs[0][0] > tier:  # its urgent job went; the others wait for their tier's turn
                    self._place(queue)
                    continue
                return self._go(queue)
        return None

    def done(self, line: Line) -> None:
        """A job that was taken has ended."""
        queue = self._queues[line.group]
        self.in_call -= 1
        queue.in_call -= 1
        if queue.in_call == self._per_number - 1:
            self._place(queue)
        self._forget_idle(queue)

    def next_moment(self) -> float | None:
        """When `take` may have something that it has not now, unless jobs or slots come or a call ends; None: not before."""
        return self._timers[0][0] if self._timers else None

    def wanting(self, now: float) -> dict[Line, int]:
        """How many slots each number needs that has too few; they count as asked for until `add_slots`.

        No more than there is room for in calls: a slot that comes and cannot be used is a part of the rate that is lost.
        """
        queues = list(self._queues.values())
        ahead = max(FEWEST_AHEAD, self._in_all // max(1, len(queues)))
        room = self._in_all - self.in_call
        for queue in queues:
            self._drop_late(queue, now)
            room -= queue.asked + bisect_right(queue.slots, now)
        self._turn += 1
        wanted: dict[Line, int] = {}
        for place in range(len(queues)):
            queue = queues[(place + self._turn) % len(queues)]
            if not queue.jobs:
                self._forget_idle(queue)
            elif now >= queue.ask_at:
                count = min(len(queue.jobs), ahead, self._per_number - queue.in_call) - len(queue.slots) - queue.asked
                count = min(count, room)
                if count > 0:
                    room -= count
                    queue.asked += count
                    wanted[queue.line] = count
        return wanted

    def overdue(self, before: float) -> list[J]:
        """Take out the jobs that have waited for a slot since earlier than `before`."""
        out: list[J] = []
        for queue in list(self._queues.values()):
            if any(since < before for _, _, since, _ in queue.jobs):
                out += [job for _, _, since, job in queue.jobs if since < before]
                queue.jobs = [entry for entry in queue.jobs if entry[2] >= before]
                heapq.heapify(queue.jobs)
                self._forget_idle(queue)
        self.waiting -= len(out)
        return out

    def clear(self) -> list[J]:
        """Take out all jobs that have not been taken."""
        out: list[J] = []
        for queue in list(self._queues.values()):
            out += [job for *_, job in queue.jobs]
            queue.jobs.clear()
            self._forget_idle(queue)
        self.waiting = 0
        return out

    def loads(self) -> dict[str, tuple[int, int]]:
        """By group, for operators: jobs that wait and jobs in call."""
        return {group: (len(queue.jobs), queue.in_call) for group, queue in self._queues.items()}

    def waiting_jobs(self) -> list[J]:
        """All that wait, in no order; for operators."""
        return [job for queue in self._queues.values() for *_, job in queue.jobs]

    def _queue(self, line: Line) -> _Queue[J]:
        queue = self._queues.get(line.group)
        if queue is None:
            queue = self._queues[line.group] = _Queue(line)
        else:
            queue.line = line  # its rate may have changed
        return queue

    def _place(self, queue: _Queue[J]) -> None:
        """Put it among those that may go, or set its timer. A place that is wrong by the time it is looked at is put right then."""
        if not queue.jobs or not queue.slots or queue.in_call >= self._per_number:
            return
        at = queue.slots[0]
        if queue.next_at is None or at < queue.next_at:
            queue.next_at = at
            self._count += 1
            heapq.heappush(self._timers, (at, self._count, queue))

    def _wake(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            at, _, queue = heapq.heappop(self._timers)
            if queue.next_at == at:
                queue.next_at = None
            if queue.jobs:
                tier = queue.jobs[0][0]
                if queue.ready_as is None or tier < queue.ready_as:
                    queue.ready_as = tier
                    self._ready[tier].append(queue)

    def _may_go(self, queue: _Queue[J], now: float) -> bool:
        self._drop_late(queue, now)
        return bool(queue.jobs and queue.slots) and queue.in_call < self._per_number and queue.slots[0] <= now

    def _go(self, queue: _Queue[J]) -> J:
        *_, job = heapq.heappop(queue.jobs)
        queue.slots.popleft()
        queue.in_call += 1
        self.in_call += 1
        self.waiting -= 1
        self._place(queue)
        return job

    def _drop_late(self, queue: _Queue[J], now: float) -> None:
        while queue.slots and now - queue.slots[0] > LATE_SECONDS:
            queue.slots.popleft()

    def _forget_idle(self, queue: _Queue[J]) -> None:
        if not queue.jobs and not queue.in_call and not queue.asked and not queue.slots:
            self._queues.pop(queue.line.group, None)
