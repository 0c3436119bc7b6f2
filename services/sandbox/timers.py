"""Everything that happens later: one wheel of slots and one timer of the loop, however many messages wait."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Iterable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

TICK_SECONDS: Final = 0.01

# A slot's own time must count as reached although 0.01 is no binary fraction.
_SLACK_TICKS: Final = 1e-6


class Wheel(Generic[T]):
    """Items by the tick they are due in; adding one costs the same whatever waits. Times are seconds of one monotonic clock."""

    def __init__(self) -> None:
        self._slots: dict[int, list[T]] = {}
        self._ticks: list[int] = []
        """Heap of the slots' keys."""

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, due: float, item: T) -> None:
        """File `item`; it comes out at most a tick after `due`, never before. What is due together comes in the order filed."""
        tick = -int(-due // TICK_SECONDS)
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = [item]
            heapq.heappush(self._ticks, tick)
        else:
            slot.append(item)

    @property
    def next_due(self) -> float | None:
        """When the next slot falls due; None on an empty wheel."""
        return self._ticks[0] * TICK_SECONDS if self._ticks else None

    def take_due(self, now: float) -> list[T]:
        """All items due at `now`, oldest slot first."""
        limit = int(now / TICK_SECONDS + _SLACK_TICKS)
        items: list[T] = []
        while self._ticks and self._ticks[0] <= limit:
            items += self._slots.pop(heapq.heappop(self._ticks))
        return items


class Timers(Generic[T]):
    """A wheel on the running loop: `fire` gets what falls due, in batches. Costs nothing while it is empty."""

    def __init__(self, fire: Callable[[list[T]], None]) -> None:
        self._fire = fire
        self._wheel: Wheel[T] = Wheel()
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def __len__(self) -> int:
        return len(self._wheel)

    def after(self, waits: Iterable[tuple[float, T]]) -> None:
        """Hand each item to `fire` once its seconds have passed."""
        now = self._loop.time()
        for seconds, item in waits:
            self._wheel.add(now + seconds, item)
        due = self._wheel.next_due
        if due is not None and (self._timer is None or due < self._timer_at):
            self._arm()

    def close(self) -> None:
        """Forget all that waits. Twice is safe."""
        self._wheel = Wheel()
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._wheel.next_due
        if due is not None:
            self._timer_at = due
            self._timer = self._loop.call_at(due, self._turn)

    def _turn(self) -> None:
        self._timer = None
        items = self._wheel.take_due(self._loop.time())
        self._arm()
        if items:
            self._fire(items)
