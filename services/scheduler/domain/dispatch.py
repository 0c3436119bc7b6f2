"""What the dispatch does with a run now: take some of its recipients, stop it, or see that it has ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.scheduler.domain.pacing import Allowance, grow, rate, wait
from services.scheduler.domain.run import Pacing, RunState, RunTerms, has_failed_too_often

LEAD: Final = timedelta(seconds=10)
"""So long before a recipient is due its message is asked for, so that it is held when the time comes. A run with a pace of its own
has none: it would let the lead's worth of it go at once."""
CHUNK: Final = 500
"""Recipients of one run in a round."""
SMALLEST_CAP: Final = 500
CAP_SECONDS: Final = 5
"""Of its number's rate: so much of a run is under way at once. More would not leave sooner, and what is not under way yet is paused
and canceled without anybody's doing."""
PACED_CAP_SECONDS: Final = 10
"""Of a run's own pace, where it has one: what is under way leaves at its number's rate once that goes on after a standstill, and so
much of it at most, or `SMALLEST_PACED_CAP`."""
SMALLEST_PACED_CAP: Final = 10
_SOON: Final = timedelta(seconds=0.1)
_SECOND: Final = timedelta(seconds=1)
_RARELY: Final = timedelta(seconds=30)
_CLOSELY: Final = timedelta(minutes=1)
"""After a pause or the end of a run, how long what slipped through is looked for every second."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A run as it stands. `tardy` of the requested do not stand in the others' way: they should have left an hour ago, and wait for
    something that may take days. Of a run with a pace of its own they might all leave at once when it comes: only those of unknown
    outcome are `tardy` there."""

    state: RunState
    since: datetime
    is_expanded: bool
    terms: RunTerms
    pending: int
    requested: int
    tardy: int
    tried: int
    failed: int
    messages_per_second: int | None
    allowance: Allowance
    paced_at: datetime | None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do: end it, pause it for its failures, or take so many of its recipients."""

    ends: bool = False
    stops: bool = False
    quota: int = 0
    is_capped: bool = False
    allowance: Allowance = field(default_factory=Allowance)


def lead_of(terms: RunTerms) -> timedelta:
    return LEAD if terms.pacing is None else timedelta(0)


def step(run: Standing, now: datetime) -> Step:
    """The next step of a run whose row is locked."""
    allowance = run.allowance
    if run.terms.pacing is not None and run.paced_at is not None and run.state is RunState.RUNNING:
        allowance = grow(run.terms.pacing, allowance, (now - run.paced_at).total_seconds())
    if run.state in {RunState.CANCELED, RunState.FAILED}:
        return Step(allowance=allowance)
    if run.is_expanded and not run.pending and not run.requested:
        return Step(ends=True, allowance=allowance)
    if run.state is not RunState.RUNNING:
        return Step(allowance=allowance)
    if has_failed_too_often(run.terms.failure_stop, run.tried, run.failed):
        return Step(stops=True, allowance=allowance)
    free = max(0, cap(run.messages_per_second, run.terms.pacing, allowance.seconds) - (run.requested - run.tardy))
    quota = min(CHUNK, free, run.pending)
    if run.terms.pacing is not None:
        quota = min(quota, int(allowance.tokens))
    return Step(quota=quota, is_capped=free == 0, allowance=allowance)


def cap(messages_per_second: int | None, pacing: Pacing | None = None, seconds: float = 0.0) -> int:
    """How many of a run may be under way at once, so long after its start."""
    usual = max(SMALLEST_CAP, CAP_SECONDS * (messages_per_second or 0))
    if pacing is None:
        return usual
    return min(usual, max(SMALLEST_PACED_CAP, int(PACED_CAP_SECONDS * rate(pacing, seconds))))


def spend(allowance: Allowance, messages: int) -> Allowance:
    return Allowance(max(0.0, allowance.tokens - messages), allowance.seconds)


def look_again(
    run: Standing, step: Step, allowance: Allowance, now: datetime, *, is_more: bool
) -> tuple[datetime | None, bool]:
    """When to look at a run again whatever happens (None: no such time), and whether also when its next recipient is due.
    `is_more`: not all that are due have been seen. It is looked at besides whenever the count of its recipients changes."""
    if run.state is not RunState.RUNNING or step.stops:
        pause = _RARELY if now - run.since > _CLOSELY and not step.stops else _SECOND
        return (now + pause if run.requested else None), False
    if step.ends or not run.pending:
        return None, False
    if step.is_capped:
        return now + _SECOND, False
    if run.terms.pacing is not None and allowance.tokens < 1:
        return now + max(_SOON, timedelta(seconds=wait(run.terms.pacing, allowance))), False
    return (now, False) if is_more else (None, True)
