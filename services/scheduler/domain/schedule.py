"""A schedule: when its occurrences are, and what becomes of those that meet a run that is still on, or were slept through.

active ⇄ paused
  │  │      │
  │  └──────┴─▶ canceled
  └─▶ completed        nothing more will come, and its runs have ended
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Final, NamedTuple

from pydantic import AwareDatetime, NaiveDatetime

from services.scheduler.domain import recurrence, zones
from shared.personal import Model

RECIPIENT: Final = "recipient"
"""Stands for a zone: each recipient's own."""
FIRST_ZONE: Final = timedelta(hours=14)
"""No clock is further ahead of UTC (Pacific/Kiritimati), so this much before a wall time, read as UTC, it is nowhere reached."""
LONGEST_WAITING: Final = 1_000
"""Occurrences that wait for a run to end; past that they are skipped."""


class ScheduleState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"


class Overlap(StrEnum):
    """What becomes of an occurrence while a run of the same schedule is on. The words are Temporal's."""

    SKIP = "skip"
    BUFFER_ONE = "buffer_one"
    """It waits for the run to end; one more, while it waits, is skipped."""
    BUFFER_ALL = "buffer_all"
    """All wait, and have their turn one after the other."""
    CANCEL_OTHER = "cancel_other"
    """The run is canceled: what has not left does not leave."""
    ALLOW_ALL = "allow_all"


class Timing(Model):
    """When: one of `at` (once), `local_at` (once, by each recipient's clock), `rule` and `cron`."""

    at: AwareDatetime | None = None
    local_at: NaiveDatetime | None = None
    rule: str | None = None
    cron: str | None = None
    zone: str
    """IANA name, or `recipient`."""
    start: NaiveDatetime | None = None
    """Of a rule or cron: the wall time from which on it counts."""
    end: AwareDatetime | None = None
    """No occurrence after it."""
    count: int | None = None
    """No more occurrences than this."""

    @property
    def is_recurring(self) -> bool:
        return self.rule is not None or self.cron is not None

    @property
    def is_local(self) -> bool:
        """By each recipient's clock."""
        return self.zone == RECIPIENT


class Occurrence(NamedTuple):
    """`due_at` is the moment; for a wall time, the first at which it can be reached anywhere."""

    due_at: datetime
    local_time: datetime | None = None


def occurrence_at(timing: Timing, due_at: datetime) -> Occurrence:
    """The occurrence of the timing that has this `due_at`; what comes once may come later than its time."""
    if timing.local_at is not None:
        return Occurrence(due_at, timing.local_at)
    return Occurrence(due_at, (due_at + FIRST_ZONE).astimezone(UTC).replace(tzinfo=None) if timing.is_local else None)


def first_anywhere(wall: datetime) -> datetime:
    """The first moment (UTC) at which clocks anywhere can show it."""
    return wall.replace(tzinfo=UTC) - FIRST_ZONE


def once(timing: Timing) -> Occurrence:
    """The occurrence of a timing that has no others, past or to come."""
    return next(_occurrences(timing, datetime.min.replace(tzinfo=UTC)))


def occurrences(timing: Timing, after: datetime) -> Iterator[Occurrence]:
    """Those with a `due_at` after `after`, in order; `count` is not looked at. A rule that is too hard to follow ends."""
    for occurrence in _occurrences(timing, after):
        if timing.end is not None and occurrence.due_at > timing.end:
            return
        yield occurrence


def next_occurrences(timing: Timing, after: datetime, limit: int, opened: int = 0) -> list[Occurrence]:
    """The next ones, of a schedule that has opened so many."""
    left = limit if timing.count is None else min(limit, max(0, timing.count - opened))
    return list(islice(occurrences(timing, after), left))


def _occurrences(timing: Timing, after: datetime) -> Iterator[Occurrence]:
    if timing.at is not None:
        yield from (Occurrence(at) for at in (timing.at,) if at > after)
    elif timing.local_at is not None:
        yield from (Occurrence(at, timing.local_at) for at in (first_anywhere(timing.local_at),) if at > after)
    else:
        try:
            if timing.is_local:
                for wall in _walls(timing, (after + FIRST_ZONE).astimezone(UTC).replace(tzinfo=None)):
                    yield Occurrence(first_anywhere(wall), wall)
            else:
                yield from (Occurrence(moment) for moment in _moments(timing, after))
        except recurrence.NeverAgainError:
            return


def _walls(timing: Timing, after: datetime) -> Iterator[datetime]:
    assert timing.start is not None
    if timing.rule is not None:
        return recurrence.rule_walls(recurrence.read_rule(timing.rule), timing.start, after)
    assert timing.cron is not None
    return recurrence.cron_walls(timing.cron, max(after, timing.start - timedelta(microseconds=1)))


def _moments(timing: Timing, after: datetime) -> Iterator[datetime]:
    assert timing.start is not None
    if timing.rule is not None:
        return recurrence.rule_moments(recurrence.read_rule(timing.rule), timing.zone, timing.start, after)
    assert timing.cron is not None
    start = zones.resolve(timing.start, timing.zone) - timedelta(microseconds=1)
    return recurrence.cron_moments(timing.cron, timing.zone, max(after, start))


class Turn(NamedTuple):
    """What a schedule does now."""

    opens: Sequence[Occurrence]
    waits: Sequence[Occurrence]
    """For the run before to end."""
    cancels: bool
    """The runs that are on."""


def turn(overlap: Overlap, waiting: Sequence[Occurrence], due: Sequence[Occurrence], *, is_busy: bool) -> Turn:
    """What becomes of the occurrences that are waiting and those that have come; what it neither opens nor keeps is skipped."""
    every = [*waiting, *due]
    match overlap:
        case Overlap.ALLOW_ALL:
            return Turn(every, (), cancels=False)
        case Overlap.CANCEL_OTHER:
            return Turn(every[-1:], (), cancels=is_busy and bool(every))
        case Overlap.SKIP:
            return Turn(() if is_busy else every[:1], (), cancels=False)
        case Overlap.BUFFER_ONE | Overlap.BUFFER_ALL:
            longest = 1 if overlap is Overlap.BUFFER_ONE else LONGEST_WAITING
            opens, waits = ([], every) if is_busy else (every[:1], every[1:])
            return Turn(opens, waits[:longest], cancels=False)
