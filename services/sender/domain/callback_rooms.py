"""Who may be posted to how often at once, so that nobody's silence takes the others' place. Pure.

A callback begins with two posts at once and gains one with each success, up to 64. Nobody takes more than half of what is free, so
that there is always some left for who comes next, and who has the fewest under way comes first. One that fails for being away or
ill has room for a single post, and all of those together for a quarter of the crew: a hundred dead ones cost no more than that,
until their circuit breakers spare even this. Those that answer, but take their time, have half of the crew together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Final

FIRST: Final = 2
MOST: Final = 64
SICK_SHARE: Final = 4
"""One part in so many."""
SLOW_SHARE: Final = 2
SLOW_SECONDS: Final = 1.0
"""Who takes longer to answer, on average, is slow."""
LATEST: Final = 0.2
"""What the latest answer counts in that average."""
KEPT: Final = 10_000
"""Callbacks that something is known of; beyond that those are forgotten that are not posted to."""


class Rooms:
    """Of one process, which makes so many posts at once."""

    def __init__(self, concurrency: int) -> None:
        self._concurrency = concurrency
        self._busy: Counter[str] = Counter()
        self._widths: dict[str, int] = {}
        self._seconds: dict[str, float] = {}
        self._sick: set[str] = set()
        self._slow: set[str] = set()

    @property
    def busy(self) -> int:
        return self._busy.total()

    @property
    def free(self) -> int:
        return self._concurrency - self.busy

    def full(self) -> set[str]:
        """Callbacks that have no room now, whatever is free."""
        found = {one for one, count in self._busy.items() if count >= self._width(one)}
        if self._free_of(self._sick, SICK_SHARE) <= 0:
            found |= self._sick
        if self._free_of(self._slow, SLOW_SHARE) <= 0:
            found |= self._slow
        return found

    def share_out(self, callbacks: Iterable[str]) -> dict[str, int]:
        """How many more of each may be posted now. First come those that have the fewest under way, then those named first."""
        free = self.free
        sick_free, slow_free = self._free_of(self._sick, SICK_SHARE), self._free_of(self._slow, SLOW_SHARE)
        rooms: dict[str, int] = {}
        for one in sorted(callbacks, key=self._busy.__getitem__):
            room = min(self._width(one) - self._busy[one], max(1, free // 2), free)
            if one in self._sick:
                room = min(room, sick_free)
            elif one in self._slow:
                room = min(room, slow_free)
            if room <= 0:
                continue
            rooms[one] = room
            free -= room
            sick_free -= room if one in self._sick else 0
            slow_free -= room if one in self._slow else 0
        return rooms

    def suspect(self, callback_id: str) -> None:
        """Others have found it failing, and here nothing is known of it."""
        if callback_id not in self._widths:
            self._sick.add(callback_id)

    def begin(self, callback_id: str) -> None:
        self._busy[callback_id] += 1

    def end(self, callback_id: str, *, is_sick: bool, seconds: float = 0.0) -> None:
        """A post that was begun has ended, after so long; a refusal is not sick."""
        self._busy[callback_id] -= 1
        if not self._busy[callback_id]:
            del self._busy[callback_id]
        if is_sick:
            self._sick.add(callback_id)
            self._slow.discard(callback_id)
            self._widths[callback_id] = FIRST
        else:
            self._sick.discard(callback_id)
            self._time(callback_id, seconds)
            self._widths[callback_id] = min(MOST, self._widths.get(callback_id, FIRST) + 1)
        if len(self._widths) > KEPT:
            self._widths = {one: width for one, width in self._widths.items() if one in self._busy}
            self._seconds = {one: average for one, average in self._seconds.items() if one in self._busy}
            self._sick &= self._busy.keys()
            self._slow &= self._busy.keys()

    def _time(self, callback_id: str, seconds: float) -> None:
        average = self._seconds.get(callback_id, 0.0)
        average += LATEST * (seconds - average)
        self._seconds[callback_id] = average
        if average >= SLOW_SECONDS:
            self._slow.add(callback_id)
        else:
            self._slow.discard(callback_id)

    def _free_of(self, kind: set[str], share: int) -> int:
        return max(1, self._concurrency // share) - sum(count for one, count in self._busy.items() if one in kind)

    def _width(self, callback_id: str) -> int:
        return 1 if callback_id in self._sick else self._widths.get(callback_id, FIRST)
