"""What the tests of limits share."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction

from shared.limits.limiter import Granted, Refused, Verdict


class StandingClock:
    """Stands still until told. Whole microseconds and no rounding, so that the model's sums are the scripts'."""

    def __init__(self) -> None:
        self.microseconds = 1_790_000_000_000_000

    def advance(self, seconds: float) -> None:
        self.microseconds += round(seconds * 1_000_000)

    def monotonic(self) -> float:
        return Fraction(self.microseconds, 1_000_000)  # type: ignore[return-value]  # a number all the same

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.microseconds / 1_000_000, UTC)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def granted(verdicts: Iterable[Verdict]) -> int:
    return sum(isinstance(verdict, Granted) for verdict in verdicts)


def refused(verdicts: Iterable[Verdict]) -> list[Refused]:
    return [verdict for verdict in verdicts if isinstance(verdict, Refused)]


def most_within(moments: Iterable[int], span: int) -> int:
    """How many of the moments the fullest half-open window of `span` holds."""
    ordered = sorted(moments)
    most = first = 0
    for last, moment in enumerate(ordered):
        while ordered[first] <= moment - span:
            first += 1
        most = max(most, last - first + 1)
    return most
