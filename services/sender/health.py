"""How the providers are: their circuit breakers, and numbers whose rate is lowered because of throttles or rising latency."""

from __future__ import annotations

from typing import Final

from services.sender.domain.outcome import Outcome, Retry, Scope, Unknown
from services.sender.numbers import Number
from shared.clock import Clock
from shared.every import Every
from shared.limits.breaker import State
from shared.limits.breakers import Breakers
from shared.limits.latency import LatencyWatch
from shared.limits.limiter import Limiter, Line

THROTTLED: Final = 0.7
"""What is left of a number's rate after a throttle."""
SLOWER: Final = 0.85
"""After its answers began to take longer."""
SLOW_SECONDS: Final = 0.2


class Health:
    """Fed with every answer; asked before every call."""

    def __init__(self, breakers: Breakers, limiter: Limiter, clock: Clock) -> None:
        self._breakers = breakers
        self._limiter = limiter
        self._clock = clock
        self._answered: dict[str, float] = {}
        self._watches: dict[Line, LatencyWatch] = {}
        self._slow: dict[Line, float] = {}
        self.slowing = Every("sender.slow", SLOW_SECONDS, self._slow_down)

    def wait(self, number: Number) -> float:
        """Seconds until a call may be tried; 0 where nothing is known against it."""
        return max(self._breakers.wait(key) for key in number.breakers)

    def is_probing(self, number: Number) -> bool:
        """Whether a call must be admitted first, because it would be a probe."""
        return any(self._breakers.is_probing(key) for key in number.breakers)

    async def admit(self, number: Number) -> bool:
        """Take the probes that the call is; False where it may not go. If True, the call must follow, and `note`."""
        probed: list[str] = []
        for key in number.breakers:
            is_probe = self._breakers.is_probing(key)
            if not await self._breakers.admit(key):
                for other in probed:
                    self._breakers.give_up(other)
                return False
            if is_probe:
                probed.append(key)
        return True

    def states(self) -> dict[str, State]:
        """Of every circuit breaker, for operators."""
        return self._breakers.states()

    def note(self, number: Number, outcome: Outcome, began: float, seconds: float) -> None:
        """The call that began then, by the loop's clock, has ended so, after so long."""
        sick = isinstance(outcome, Retry | Unknown) and outcome.sick
        for key in number.breakers:
            if not sick:
                self._answered[key] = max(began, self._answered.get(key, began))
            elif began < self._answered.get(key, began) and not self._breakers.is_probing(key):
                continue  # a call that began later was answered, so this says nothing about now: it hung ten seconds, perhaps
            self._breakers.note(key, not sick)
        line = number.limits.line
        if isinstance(outcome, Retry) and outcome.scope is Scope.NUMBER:
            self._lower(line, THROTTLED)
        elif not sick:
            watch = self._watches.get(line)
            if watch is None:
                watch = self._watches[line] = LatencyWatch()
            if watch.feed(seconds, self._clock.monotonic()):
                self._lower(line, SLOWER)

    def _lower(self, line: Line, factor: float) -> None:
        self._slow[line] = min(factor, self._slow.get(line, 1.0))
        self.slowing.wake()

    async def _slow_down(self) -> None:
        if self._slow:
            lines, self._slow = self._slow, {}
            await self._limiter.slow(lines)
