"""What is counted per number: totals, and how many in each tenth of a second, so that the busiest second can be asked for."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

TICKS_PER_SECOND: Final = 10
TICKS_KEPT: Final = 3600 * TICKS_PER_SECOND


class Ticks:
    """Counts per tenth of a second; an hour of them is kept, `total` is of all."""

    __slots__ = ("_counts", "_start", "total")

    def __init__(self) -> None:
        self._start = 0
        self._counts = array("I")
        self.total = 0

    def count(self, now: float) -> None:
        """One more, at `now` (seconds since 1970). A clock that was set back counts into the oldest kept."""
        self.total += 1
        at = int(now * TICKS_PER_SECOND) - self._start
        if at >= len(self._counts):
            at = self._reach(at)
        self._counts[max(at, 0)] += 1

    def between(self, start: int, end: int) -> Sequence[int]:
        """The counts of the ticks from `start` up to `end`, 0 where nothing is kept."""
        kept = self._start, self._start + len(self._counts)
        inside = max(start, kept[0]), min(end, kept[1])
        if inside[0] >= inside[1]:
            return array("I", bytes(4 * (end - start)))
        before, after = array("I", bytes(4 * (inside[0] - start))), array("I", bytes(4 * (end - inside[1])))
        return before + self._counts[inside[0] - kept[0] : inside[1] - kept[0]] + after

    @property
    def kept(self) -> tuple[int, int] | None:
        """First and last tick with a count; None where there is none."""
        return (self._start, self._start + len(self._counts)) if self._counts else None

    def _reach(self, at: int) -> int:
        """Make room for position `at`; returns where it is now."""
        if not self._counts or at >= len(self._counts) + TICKS_KEPT:
            self._start += at
            self._counts = array("I", [0])
            return 0
        self._counts.extend([0] * (at + 1 - len(self._counts)))
        if len(self._counts) > TICKS_KEPT + TICKS_PER_SECOND * 60:
            surplus = len(self._counts) - TICKS_KEPT
            del self._counts[:surplus]
            self._start += surplus
            at -= surplus
        return at


class Tally:
    """One number's counts. `index` is its place among all."""

    __slots__ = ("accepted", "codes", "inbound", "index", "number", "over_portfolio_limit", "refused")

    def __init__(self, number: str, index: int) -> None:
        self.number = number
        self.index = index
        self.accepted = Ticks()
        self.inbound = Ticks()
        self.refused = Ticks()
        self.codes: Counter[int] = Counter()
        self.over_portfolio_limit = 0

    def totals(self) -> dict[str, Any]:
        return {
            "accepted": self.accepted.total,
            "inbound": self.inbound.total,
            "refused": {str(code): count for code, count in sorted(self.codes.items())},
            "over_portfolio_limit": self.over_portfolio_limit,
        }

    def rates(self, seconds: int) -> dict[str, Any]:
        """The last `seconds` in which something happened, whole seconds since 1970; the greatest rolling second of both directions
        is of all that is kept, and `at` is its beginning."""
        kept = [ticks.kept for ticks in (self.accepted, self.inbound, self.refused)]
        spans = [span for span in kept if span is not None]
        if not spans:
            return {"phone_number_id": self.number, **self.totals(), "greatest_second": None, "per_second": None}
        first = min(start for start, _ in spans) // TICKS_PER_SECOND
        last = -(-max(end for _, end in spans) // TICKS_PER_SECOND)
        start = max(first, last - seconds)
        per_second = {
            name: _by_second(ticks.between(start * TICKS_PER_SECOND, last * TICKS_PER_SECOND))
            for name, ticks in (("accepted", self.accepted), ("inbound", self.inbound), ("refused", self.refused))
        }
        return {
            "phone_number_id": self.number,
            **self.totals(),
            "greatest_second": self._greatest_second(first * TICKS_PER_SECOND, last * TICKS_PER_SECOND),
            "per_second": {"start": start, **per_second},
        }

    def _greatest_second(self, start: int, end: int) -> dict[str, Any]:
        both = [a + b for a, b in zip(self.accepted.between(start, end), self.inbound.between(start, end), strict=True)]
        within = sum(both[:TICKS_PER_SECOND])
        greatest, at = within, 0
        for leaving, entering in enumerate(both[TICKS_PER_SECOND:]):
            within += entering - both[leaving]
            if within > greatest:
                greatest, at = within, leaving + 1
        return {"count": greatest, "at": (start + at) / TICKS_PER_SECOND}


def _by_second(ticks: Sequence[int]) -> list[int]:
    return [sum(ticks[at : at + TICKS_PER_SECOND]) for at in range(0, len(ticks), TICKS_PER_SECOND)]
