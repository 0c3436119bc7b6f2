"""A circuit breaker as a pure state machine: when a provider that fails is left alone, and how it is tried again.

              enough failures                        open_seconds later
    CLOSED ─────────────────────▶ OPEN ─────────────────────────────────▶ HALF_OPEN
      ▲                            ▲                                        │   │
      │                            └──────────── a probe fails ─────────────┘   │
      └───────────── the probes of every stage have been answered ──────────────┘

Half-open, only who holds a lease may call: one probe first, then five. A lease whose holder never tells how it went is given again.
`breaker.lua` has the same rules for the circuit that all replicas share; a test runs both against each other.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    CLOSED = "closed"
    """Calls go."""
    OPEN = "open"
    """None do."""
    HALF_OPEN = "half_open"
    """Probes do."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """Opens at `threshold` failures within `window_seconds`, where they are at least `share` of the calls of that time. `probes`:
    how many must be answered in each stage, and how many may be under way in it. `open_seconds` and `lease_seconds` must be longer
    than any call takes, so that none from before the opening is taken for a probe."""

    threshold: int = 5
    share: float = 0.5
    window_seconds: float = 10.0
    open_seconds: float = 60.0
    probes: tuple[int, ...] = (1, 5)
    lease_seconds: float = 15.0

    @property
    def half_window_ms(self) -> int:
        return int(self.window_seconds * 500)

    @property
    def open_ms(self) -> int:
        return round(self.open_seconds * 1_000)

    @property
    def lease_ms(self) -> int:
        return round(self.lease_seconds * 1_000)


@dataclass(slots=True)
class Machine:
    """One circuit. `now` is in whole milliseconds of any clock that does not go back.

    The window is two halves: what is judged are the calls of the half that runs and the one before it. So there is always some time
    to look at, and a provider that fails one call in ten is not shut out because the first five of a new window were among them.
    """

    policy: BreakerPolicy
    since: int = 0
    """When it last opened or closed; 0: never, or that is forgotten."""
    half_open_at: int = 0
    """When probing may begin; 0 while it is closed."""
    stage: int = 0
    answered: int = 0
    """Probes of this stage."""
    leases: dict[str, int] = field(default_factory=dict)
    """Token of each probe under way, and when it is given up for lost."""
    half_started: int = 0
    ok: int = 0
    failed: int = 0
    ok_before: int = 0
    failed_before: int = 0

    def state(self, now: int) -> State:
        if not self.half_open_at:
            return State.CLOSED
        return State.OPEN if now < self.half_open_at else State.HALF_OPEN

    def free(self, now: int) -> int:
        """How many probes it would give leases for; of use where it is half-open."""
        return self.policy.probes[self.stage] - self.answered - sum(end > now for end in self.leases.values())

    def count(self, ok: int, failed: int, now: int) -> None:
        """How calls went that were not probes. While it is not closed they say nothing new: they left before it opened."""
        if self.half_open_at:
            return
        elapsed, half = now - self.half_started, self.policy.half_window_ms
        if elapsed >= 2 * half:
            self._begin_half(now, 0, 0)
        elif elapsed >= half:
            self._begin_half(self.half_started + half, self.ok, self.failed)
        self.ok += ok
        self.failed += failed
        if not failed:
            return
        failures = self.failed + self.failed_before
        calls = failures + self.ok + self.ok_before
        if failures >= self.policy.threshold and failures >= self.policy.share * calls:
            self.open(now, now + self.policy.open_ms)

    def lease(self, token: str, now: int) -> bool:
        """Whether the call of this name may go as a probe; half-open only."""
        if self.state(now) is not State.HALF_OPEN or self.free(now) < 1:
            return False
        self.leases = {other: end for other, end in self.leases.items() if end > now}
        self.leases[token] = now + self.policy.lease_ms
        return True

    def give_back(self, token: str) -> None:
        """The probe was not made after all."""
        self.leases.pop(token, None)

    def settle(self, token: str, *, ok: bool, now: int) -> None:
        """How a probe went. One whose lease went to another counts for nothing; while it is closed a probe is a call like any."""
        if not self.half_open_at:
            self.count(int(ok), int(not ok), now)
        elif self.leases.pop(token, None) is None:
            return
        elif not ok:
            self.open(now, now + self.policy.open_ms)
        else:
            self.answered += 1
            if self.answered == self.policy.probes[self.stage]:
                self.stage, self.answered = self.stage + 1, 0
                if self.stage == len(self.policy.probes):
                    self.close(now)

    def open(self, now: int, half_open_at: int) -> None:
        self.since, self.half_open_at = now, half_open_at
        self._forget_evidence(0)

    def release(self, now: int) -> None:
        """It has answered somebody who asked past the circuit: where it is open, probing begins now."""
        self.half_open_at = min(self.half_open_at, now)

    def close(self, now: int) -> None:
        self.since, self.half_open_at = now, 0
        self._forget_evidence(now)

    def _forget_evidence(self, now: int) -> None:
        self.stage, self.answered, self.leases = 0, 0, {}
        self._begin_half(now, 0, 0)

    def _begin_half(self, start: int, ok_before: int, failed_before: int) -> None:
        self.half_started, self.ok, self.failed = start, 0, 0
        self.ok_before, self.failed_before = ok_before, failed_before


@dataclass(slots=True)
class Report:
    """What a process has seen of a shared circuit since its last report: calls, probes by their tokens, probes that were not made;
    whether it has answered past the circuit; and the token that it wants a lease for."""

    ok: int = 0
    failed: int = 0
    settled: list[tuple[str, bool]] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    released: bool = False
    wanted: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """How a shared circuit stands. `since` is the server's time of its last opening or closing, in ms; 0: none that it remembers.
    `free` are the probes that might be made now, `given` says whether the wanted one may."""

    since: int
    state: State
    wait_ms: int
    free: int
    given: bool
