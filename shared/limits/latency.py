"""Says when a provider's answers begin to take longer: the sign, before any refusal, that it is being asked too much."""

from __future__ import annotations

from typing import Final

SHORT_SECONDS: Final = 1.0
SHORT_ANSWERS: Final = 20
"""The short average is that of at least so many answers and so much time: a single slow one is no trend, at any rate of calls."""
LONG_SHORTS: Final = 30
"""How many short averages the long one remembers, so that what has become usual is no alarm for ever."""
RISE_FACTOR: Final = 2.0
RISE_SECONDS: Final = 0.1
STALE_SECONDS: Final = 60.0
"""Answers that are older say nothing about now."""


class LatencyWatch:
    """Of one number. Pure: `now` is in seconds of any clock that does not go back. Feed it answers only: a call that timed out is
    the breaker's business."""

    def __init__(self, *, cooldown_seconds: float = 5.0) -> None:
        """After an alarm there is none for `cooldown_seconds`: what was done about it must show first."""
        self._cooldown = cooldown_seconds
        self._quiet_until = float("-inf")
        self._long: float | None = None
        self._begin(0.0)

    def feed(self, seconds: float, now: float) -> bool:
        """An answer took so long. True: latency is rising, slow down now."""
        if now - self._started > STALE_SECONDS:
            self._begin(now)
        self._sum += seconds
        self._answers += 1
        if self._answers < SHORT_ANSWERS or now - self._started < SHORT_SECONDS:
            return False
        short = self._sum / self._answers
        self._begin(now)
        usual = short if self._long is None else self._long
        self._long = usual + (short - usual) / LONG_SHORTS
        if now < self._quiet_until or short <= RISE_FACTOR * usual + RISE_SECONDS:
            return False
        self._quiet_until = now + self._cooldown
        return True

    def _begin(self, now: float) -> None:
        self._started, self._sum, self._answers = now, 0.0, 0
