"""One circuit as a process sees it: what it has seen itself and what it last learned of all replicas. Pure; times in ms.

Two judges, and a call needs the leave of both. The fleet's judges by what everybody saw. The process's own judges by its own calls
alone: at once, without waiting for the next report, where Redis is away, and where only this process fails (its way to the
provider is broken, the others' are not). As soon as the fleet's circuit is not closed, the own one yields to it, so that probes
are counted once for everybody.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from shared.limits.breaker import BreakerPolicy, Machine, Report, State, View

FULL_MS: Final = 1_000
"""How long to stay away where all probes are under way."""


class Mirror:
    def __init__(self, policy: BreakerPolicy) -> None:
        self._policy = policy
        self._own = Machine(policy)
        self._fleet_since = 0
        self._fleet_half_open_at = 0
        self._fleet_free = 0
        self._held: deque[tuple[str, int]] = deque()
        self._report = Report()

    @property
    def is_closed(self) -> bool:
        return not self._own.half_open_at and not self._fleet_half_open_at

    def state(self, now: int) -> State:
        """The stricter of both."""
        if self.is_closed:
            return State.CLOSED
        return State.OPEN if now < max(self._own.half_open_at, self._fleet_half_open_at) else State.HALF_OPEN

    def wait_ms(self, now: int) -> int:
        """0: a call may go; half-open only after `lease`, and the fleet's leave."""
        if self.is_closed:
            return 0
        until = max(self._own.half_open_at, self._fleet_half_open_at)
        if now < until:
            return until - now
        full = (self._own.half_open_at and self._own.free(now) < 1) or (self._fleet_half_open_at and self._fleet_free < 1)
        return FULL_MS if full else 0

    # -- calls ----------------------------------------------------------------------------------------------------------------

    def note(self, *, ok: bool, now: int) -> None:
        """How a call went. While this process holds leases, it was the probe that has been under way the longest."""
        while self._held and self._held[0][1] <= now:
            self._held.popleft()
        if self._held:
            token, _ = self._held.popleft()
            self._own.settle(token, ok=ok, now=now)
            self._report.settled.append((token, ok))
        elif not self._fleet_half_open_at:
            self._own.count(int(ok), int(not ok), now)
            self._report.ok += ok
            self._report.failed += not ok

    def note_answer(self, now: int) -> bool:
        """`note` of a call that was answered. False where it was one of many, of which there is no news."""
        if self._held or not self.is_closed:
            self.note(ok=True, now=now)
            return True
        self._own.count(1, 0, now)
        self._report.ok += 1
        return False

    def lease(self, token: str, now: int) -> bool:
        """Whether the own circuit lets a probe of this name go. `hold` or `give_back` must follow."""
        return not self._own.half_open_at or self._own.lease(token, now)

    def needs_leave(self, now: int) -> bool:
        """Whether the fleet's leave is needed too."""
        return bool(self._fleet_half_open_at) and now >= self._fleet_half_open_at

    def hold(self, token: str, now: int) -> None:
        self._held.append((token, now + self._policy.lease_ms))

    def give_back(self, token: str) -> None:
        self._own.give_back(token)

    def give_up(self) -> None:
        """The probe taken last is not made."""
        if self._held:
            token, _ = self._held.pop()
            self._own.give_back(token)
            self._report.returned.append(token)

    def release(self, now: int) -> None:
        """It has answered past the circuit."""
        self._own.release(now)
        self._fleet_half_open_at = min(self._fleet_half_open_at, now)
        self._report.released = True

    # -- the fleet ------------------------------------------------------------------------------------------------------------

    @property
    def has_news(self) -> bool:
        """The fleet should be told now: a probe came back, or calls were stopped on this process's evidence alone."""
        report = self._report
        return bool(report.settled or report.returned or report.released or (self._own.half_open_at and report.failed))

    def take_report(self) -> Report:
        report, self._report = self._report, Report()
        return report

    def learn(self, view: View, now: int) -> None:
        """How the fleet's circuit stands. A Redis that was restarted has forgotten: what it told before still holds, here."""
        if view.since < self._fleet_since:
            self.lose_fleet(now)
        elif view.state is not State.CLOSED or view.since > self._fleet_since > 0:
            self._own.close(now)
        self._fleet_since = view.since
        self._fleet_half_open_at = 0 if view.state is State.CLOSED else now + view.wait_ms
        self._fleet_free = view.free
        if self.is_closed:
            self._held.clear()

    def lose_fleet(self, now: int) -> None:
        """Redis is away: the process goes on alone from where the fleet stood. `learn` ends that."""
        if self._fleet_half_open_at > self._own.half_open_at:
            self._own.open(now, self._fleet_half_open_at)
        self._fleet_half_open_at = 0
