"""How the providers are: their circuit breakers, and numbers that are closed for a while or whose rate is lowered."""

from __future__ import annotations

from typing import Final

from services.sender.domain.cohort import Cohorts
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
LONG_SECONDS: Final = 5.0
"""A number that the provider wants to rest for so long rests at once, whatever of it is claimed: calls made meanwhile prolong it.
One that was over its rate for a moment goes on, slower."""
PROBE_SECONDS: Final = 5.0
"""While a provider is probed, what is no probe comes again after so long."""


class Health:
    """Fed with every answer; asked before every call."""

    def __init__(self, breakers: Breakers, limiter: Limiter, clock: Clock) -> None:
        self._breakers = breakers
        self._limiter = limiter
        self._clock = clock
        self._cohorts: dict[str, Cohorts] = {}
        self._rests: dict[str, float] = {}
        self._watches: dict[str, LatencyWatch] = {}
        self._slow: dict[Line, float] = {}
        self.slowing = Every("sender.slow", SLOW_SECONDS, self._slow_down)

    def wait(self, number: Number) -> float:
        """Seconds until a call may be tried; 0 where nothing is known against it."""
        if self._breakers.are_closed(number.breakers):
            return 0.0
        wait = max(self._breakers.wait(key) for key in number.breakers)
        return max(wait, PROBE_SECONDS) if wait and self.is_probing(number) else wait

    def rest(self, number: Number) -> float:
        """Seconds that the provider wants the number to rest still."""
        return self._rests.get(number.number_id, 0.0) - self._clock.monotonic() if self._rests else 0.0

    def is_probing(self, number: Number) -> bool:
        """Whether a call must be admitted first, because it would be a probe."""
        return not self._breakers.are_closed(number.breakers) and any(map(self._breakers.is_probing, number.breakers))

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
        is_sick = isinstance(outcome, Retry | Unknown) and outcome.sick
        for key in number.breakers:
            cohorts = self._cohorts.get(key)
            if cohorts is None:
                cohorts = self._cohorts[key] = Cohorts()
            if is_sick:
                self._note_failure(key, cohorts, began)
            else:
                cohorts.answered(began)
        if not is_sick:
            self._breakers.answered(number.breakers)
        line = number.limits.line
        if isinstance(outcome, Retry) and outcome.scope is Scope.NUMBER:
            self._lower(line, THROTTLED)
            if outcome.after is not None and outcome.after >= LONG_SECONDS:
                now = self._clock.monotonic()
                self._rests = {number_id: until for number_id, until in self._rests.items() if until > now}
                self._rests[number.number_id] = now + outcome.after
        elif not is_sick:
            watch = self._watches.get(line.group)
            if watch is None:
                watch = self._watches[line.group] = LatencyWatch()
            if watch.feed(seconds, self._clock.monotonic()):
                self._lower(line, SLOWER)

    def _note_failure(self, key: str, cohorts: Cohorts, began: float) -> None:
        if self._breakers.is_probing(key):
            self._breakers.note(key, ok=False)
        else:
            for _ in range(cohorts.failed(began)):
                self._breakers.note(key, ok=False)

    def _lower(self, line: Line, factor: float) -> None:
        self._slow[line] = min(factor, self._slow.get(line, 1.0))
        self.slowing.wake()

    async def _slow_down(self) -> None:
        if self._slow:
            lines, self._slow = self._slow, {}
            await self._limiter.slow(lines)
