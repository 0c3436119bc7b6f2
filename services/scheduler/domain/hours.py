"""Quiet hours and allowed windows: when a message may leave.

What counts is what clocks in the zone show at the moment, nothing else. So where a clock is put forward over the start of a span,
the span starts with the change; where it is put back into a span, the span comes twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from shared.events.values import DailySpan, Hours

_DAY: Final = timedelta(days=1)
HORIZON_DAYS: Final = 16
"""Spans repeat by the week; a clock that is changed, or a day that is left out, can swallow an opening of one week."""


class NeverOpenError(ValueError):
    """Hours that leave no moment of the week."""


class _Span(NamedTuple):
    start: int
    """Minute of the day, as `end`."""
    end: int
    days: frozenset[int]

    def holds(self, day: int, minute: int) -> bool:
        if self.start < self.end:
            return self.start <= minute < self.end and day in self.days
        # Passes midnight: what is after it belongs to the day before.
        return (minute >= self.start and day in self.days) or (minute < self.end and (day + 5) % 7 + 1 in self.days)


def open_span(hours: Hours, zone: str, at: datetime) -> tuple[datetime, datetime | None]:
    """The first moment (UTC) from `at` on at which clocks in `zone` show a time that the hours allow, and the moment at which that
    opening ends; None: it never does. `hours.zone` is not looked at: a recipient's zone may stand in for it.

    Raises `NeverOpenError` where there is no opening; `has_opening` tells before.
    """
    at = at.astimezone(UTC)
    quiet, allowed = _spans(hours.quiet), _spans(hours.allowed)
    if not quiet and not allowed:
        return at, None
    place = ZoneInfo(zone)

    def is_open(moment: datetime) -> bool:
        wall = moment.astimezone(place)
        day, minute = wall.isoweekday(), wall.hour * 60 + wall.minute
        if any(span.holds(day, minute) for span in quiet):
            return False
        return not allowed or any(span.holds(day, minute) for span in allowed)

    start = at if is_open(at) else None
    edges = sorted({0, *(minute for span in (*quiet, *allowed) for minute in (span.start, span.end))})
    for moment in _changes(edges, place, at):
        if start is None:
            start = moment if is_open(moment) else None
        elif not is_open(moment):
            return start, moment
    if start is None:
        raise NeverOpenError
    return start, None


def has_opening(hours: Hours) -> bool:
    """False where quiet hours and allowed windows leave no minute of the week."""
    quiet, allowed = _spans(hours.quiet), _spans(hours.allowed)
    edges = {0, *(minute for span in (*quiet, *allowed) for minute in (span.start, span.end))}
    return any(
        not any(span.holds(day, minute) for span in quiet) and (not allowed or any(span.holds(day, minute) for span in allowed))
        for day in range(1, 8)
        for minute in edges
    )


def _spans(spans: Sequence[DailySpan]) -> list[_Span]:
    return [_Span(_minute(span.start), _minute(span.end), frozenset(span.days)) for span in spans]


def _minute(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])


def _changes(edges: Sequence[int], place: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """In order, every moment after `after` at which what is open can change: clocks show one of the edges, or are changed."""
    day = after.astimezone(place).date() - _DAY  # a clock that is put back over midnight shows the day before again
    begin = min(_moments(day, 0, place))
    pending: set[datetime] = set()
    for _ in range(HORIZON_DAYS):
        pending.update(moment for minute in edges for moment in _moments(day, minute, place) if moment > after)
        day += _DAY
        end = min(_moments(day, 0, place))  # nothing of a later day is before this
        if begin.astimezone(place).utcoffset() != end.astimezone(place).utcoffset():
            pending.add(_clock_change(begin, end, place))
        begin = end
        known = sorted(moment for moment in pending if after < moment < end)
        yield from known
        pending.difference_update(known)


def _moments(day: date, minute: int, place: ZoneInfo) -> set[datetime]:
    """What a wall time can mean; in a gap, moments beside it, which do no harm."""
    wall = datetime.combine(day, time(minute // 60, minute % 60), place)
    return {wall.replace(fold=fold).astimezone(UTC) for fold in (0, 1)}


def _clock_change(before: datetime, after: datetime, place: ZoneInfo) -> datetime:
    """The moment between the two, to the second, from which on the zone has the offset of `after`."""
    offset = before.astimezone(place).utcoffset()
    low, high = 0, int((after - before).total_seconds())
    while high - low > 1:
        middle = (low + high) // 2
        if (before + timedelta(seconds=middle)).astimezone(place).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return before + timedelta(seconds=high)
