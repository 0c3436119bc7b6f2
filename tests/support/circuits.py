"""What the tests of circuit breakers share: a clock in whole milliseconds, and the script's side of an exchange in Python."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.limits.breaker import Machine, Report, View


class StandingClock:
    """Stands still until told."""

    def __init__(self) -> None:
        self.ms = 1_000_000_000

    def advance(self, seconds: float) -> None:
        self.ms += round(seconds * 1_000)

    def monotonic(self) -> float:
        return self.ms / 1_000

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.ms / 1_000, UTC)

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)


def exchange(machine: Machine, report: Report, now: int) -> View:
    """What the script does with a report."""
    for token, ok in report.settled:
        machine.settle(token, ok=ok, now=now)
    for token in report.returned:
        machine.give_back(token)
    if report.ok or report.failed:
        machine.count(report.ok, report.failed, now)
    if report.released:
        machine.release(now)
    given = report.wanted is not None and machine.lease(report.wanted, now)
    return View(machine.since, machine.state(now), max(0, machine.half_open_at - now), machine.free(now), given)
