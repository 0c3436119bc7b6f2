"""Which failures say something about the provider now.

A call that hangs fails ten seconds after it began, when those that began with it were answered long ago. Counted then, the few of a
burst that hung would look like an outage, for nothing else is being answered; left out because later calls were answered, an outage
in which one call in twenty still gets through would go unseen. So calls are judged among those that began in the same second: its
failures count, all of them, once they are at least half of it.
"""

from __future__ import annotations

from typing import Final

MEMORY_SECONDS: Final = 16
"""Longer than a call can take."""


class Cohorts:
    """Of one circuit. Pure: `began` is in seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._seconds: dict[int, list[int]] = {}
        """By second: answered, failed, and of the failed how many were not counted yet."""

    def answered(self, began: float) -> None:
        """A call that began then was answered."""
        self._of(began)[0] += 1

    def failed(self, began: float) -> int:
        """A call that began then has failed; how many failures that makes to be counted."""
        cohort = self._of(began)
        cohort[1] += 1
        cohort[2] += 1
        if cohort[1] < cohort[0]:
            return 0
        count, cohort[2] = cohort[2], 0
        return count

    def _of(self, began: float) -> list[int]:
        second = int(began)
        cohort = self._seconds.get(second)
        if cohort is None:
            self._seconds = {at: kept for at, kept in self._seconds.items() if at > second - MEMORY_SECONDS}
            cohort = self._seconds[second] = [0, 0, 0]
        return cohort
