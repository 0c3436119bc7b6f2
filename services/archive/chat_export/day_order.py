"""Whether the day or the month comes first: decided once, from the whole file, never line by line."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Final

from services.archive.chat_export.findings import DayOrder
from services.archive.chat_export.shapes import Shape
from services.archive.chat_export.times import day_of, named_day, parts_of

_SURE: Final = 0.9995
_ORDERS: Final = (DayOrder.DAY_FIRST, DayOrder.MONTH_FIRST)
_LATE: Final = timedelta(days=1)
_START: Final = date(2009, 1, 1)
_NO_END: Final = date(2051, 12, 31)


@dataclass(frozen=True, slots=True)
class Decision:
    """The order, how sure it is from 0 to 1, and what told."""

    order: DayOrder
    confidence: float
    reasons: tuple[str, ...]


@dataclass(slots=True)
class Evidence:
    """What the whole file shows. `dates`: how often each date as written occurs; `sequence`: the same dates in the file's order,
    each run once; `named`: dates as written with the day that a file name beside them carries."""

    dates: Mapping[str, int]
    sequence: Sequence[str]
    named: Sequence[tuple[str, date]] = ()
    latest: datetime | None = None
    says_am: bool = False


class _Days:
    """What each date means under each order, found out once."""

    def __init__(self, shape: Shape, evidence: Evidence) -> None:
        texts = {*evidence.dates, *evidence.sequence, *(text for text, _ in evidence.named)}
        self.of = {order: {text: day_in(text, shape, order) for text in texts} for order in DayOrder}

    def steps_back(self, sequence: Sequence[str], order: DayOrder) -> int:
        """How often time goes back by more than a day. Dates that the order cannot read are left out: ranges tell of those."""
        days = [day for day in map(self.of[order].__getitem__, sequence) if day is not None]
        return sum(after < before - _LATE for before, after in pairwise(days))


@dataclass(slots=True)
class _Votes:
    """Evidence adds up as odds do."""

    odds: float = 0.0
    reasons: list[str] = field(default_factory=list)

    def add(self, order: DayOrder, probability: float, reason: str) -> None:
        odds = math.log(probability / (1 - probability))
        self.odds += odds if order is DayOrder.DAY_FIRST else -odds
        self.reasons.append(reason)


def decide(shape: Shape, evidence: Evidence) -> Decision:
    """The order of a file."""
    if shape.date != "numeric":
        guess = (
            () if any(_has_year(text) for text in evidence.dates) else (f"no year is written, {shape.default_year} is a guess",)
        )
        return Decision(DayOrder.DAY_FIRST, 1.0, ("the months are named", *guess))
    if shape.year == "first":
        return Decision(DayOrder.YEAR_FIRST, 1.0, ("the year stands first",))
    days = _Days(shape, evidence)
    if shape.year_digits == 2 and (decision := _year_first(days, evidence)) is not None:
        return decision
    votes = _Votes()
    _by_range(votes, evidence)
    _by_file_names(votes, days, evidence)
    _by_sequence(votes, days, evidence)
    _by_future(votes, days, evidence)
    _by_days_in_a_row(votes, evidence)
    separator = shape.separators[0].strip()
    if separator == ".":
        votes.add(DayOrder.DAY_FIRST, 0.95, "dates with dots have the day first")
    elif separator == "-":
        votes.add(DayOrder.DAY_FIRST, 0.6, "dates with dashes mostly have the day first")
    elif not votes.reasons:
        likely = DayOrder.MONTH_FIRST if evidence.says_am and shape.year_digits == 2 else DayOrder.DAY_FIRST
        votes.add(likely, 0.55, "nothing in the file tells; this is the more frequent form")
    order = DayOrder.DAY_FIRST if votes.odds >= 0 else DayOrder.MONTH_FIRST
    confidence = round(math.tanh(abs(votes.odds) / 2), 3)
    return Decision(order, confidence, tuple(votes.reasons))


def order_asked(shape: Shape, order: DayOrder | None) -> bool:
    """Whether the caller's order can be that of such dates."""
    if order is None or shape.date != "numeric" or shape.year == "first":
        return False
    return order is not DayOrder.YEAR_FIRST or shape.year_digits == 2


def day_in(text: str, shape: Shape, order: DayOrder) -> date | None:
    """The day that a date as written means; None where there is none."""
    if shape.date != "numeric":
        return named_day(text, default_year=shape.default_year)
    parts = parts_of(text)
    if len(parts) < 3:
        return None
    first, second, third = parts[:3]
    if order is DayOrder.YEAR_FIRST:
        year, month, day = first, second, third
    elif order is DayOrder.MONTH_FIRST:
        year, month, day = third, first, second
    else:
        year, month, day = third, second, first
    return day_of(year, int(month), int(day), written=text) if month.isdigit() and day.isdigit() else None


def _has_year(text: str) -> bool:
    return any(len(part) == 4 for part in parts_of(text))


def _year_first(days: _Days, evidence: Evidence) -> Decision | None:
    """Whether two digits that stand first are the year: then all dates make sense so, the last number changes as days do, and time
    goes back more often under either other order, or into the future."""
    latest = evidence.latest.date() if evidence.latest else _NO_END
    bad = dict.fromkeys(DayOrder, 0)
    for order, known in days.of.items():
        for text, count in evidence.dates.items():
            day = known[text]
            bad[order] += count if day is None or not _START <= day <= latest else 0
    named = sum(days.of[DayOrder.YEAR_FIRST][text] == day for text, day in evidence.named)
    changes = _changes(evidence, 0), _changes(evidence, 2)
    least = min(bad[order] for order in _ORDERS)
    if bad[DayOrder.YEAR_FIRST] * 50 > sum(evidence.dates.values()) or bad[DayOrder.YEAR_FIRST] > least:
        return None
    if named:
        other = max(sum(days.of[order][text] == day for text, day in evidence.named) for order in _ORDERS)
        return (
            Decision(DayOrder.YEAR_FIRST, 0.99, (f"the names of {named} files carry the same date",)) if named > other else None
        )
    if changes[1] < 2 or changes[1] < 2 * changes[0]:
        return None
    back = {order: days.steps_back(evidence.sequence, order) for order in DayOrder}
    if back[DayOrder.YEAR_FIRST] > min(back[order] for order in _ORDERS):
        return None
    confidence = 0.99 if least > bad[DayOrder.YEAR_FIRST] or changes[1] >= 6 else 0.9 if changes[1] >= 3 else 0.7
    return Decision(DayOrder.YEAR_FIRST, confidence, ("the last number changes as days do, the first as years do",))


def _changes(evidence: Evidence, place: int) -> int:
    """How often one of the numbers is another one than in the date before."""
    numbers = [parts[place] for text in evidence.sequence[:5000] if len(parts := parts_of(text)) > place]
    return sum(before != after for before, after in pairwise(numbers))


def _by_range(votes: _Votes, evidence: Evidence) -> None:
    beyond_first = beyond_second = 0
    for text, count in evidence.dates.items():
        first, second = _numbers(text)
        beyond_first += count if first > 12 >= second else 0
        beyond_second += count if second > 12 >= first else 0
    if beyond_first == beyond_second:
        return
    order = DayOrder.DAY_FIRST if beyond_first > beyond_second else DayOrder.MONTH_FIRST
    most, least = max(beyond_first, beyond_second), min(beyond_first, beyond_second)
    # One pasted line must not be able to re-date a file: a single sight counts less than what the order in time shows.
    probability = _SURE if most >= 3 else 0.99 if most == 2 else 0.97
    share = most / (most + least)
    where = "first" if order is DayOrder.DAY_FIRST else "second"
    against = f", {least} the other way" if least else ""
    votes.add(order, max(0.5, probability * share), f"the {where} number is above 12 in {most} headers{against}")


def _by_file_names(votes: _Votes, days: _Days, evidence: Evidence) -> None:
    fits = dict.fromkeys(_ORDERS, 0)
    for text, named in evidence.named:
        read = {order: days.of[order][text] for order in _ORDERS}
        if read[DayOrder.DAY_FIRST] == read[DayOrder.MONTH_FIRST]:
            continue
        for order, day in read.items():
            fits[order] += day is not None and abs(day - named) <= _LATE
    best = max(_ORDERS, key=lambda order: fits[order])
    if fits[best] > min(fits.values()):
        probability = 0.97 if fits[best] < 3 else 0.998
        share = fits[best] / sum(fits.values())
        votes.add(best, max(0.5, probability * share), f"the names of {fits[best]} files carry the same date")


def _by_sequence(votes: _Votes, days: _Days, evidence: Evidence) -> None:
    back = {order: days.steps_back(evidence.sequence, order) for order in _ORDERS}
    fewer, more = sorted(_ORDERS, key=lambda order: back[order])
    gap = back[more] - back[fewer]
    if gap > 0 and back[fewer] * 2 <= back[more]:
        probability = 0.8 if gap == 1 else 0.95 if gap < 4 else 0.995
        votes.add(fewer, probability, f"read so, time goes back {back[fewer]} times, the other way {back[more]} times")


def _by_future(votes: _Votes, days: _Days, evidence: Evidence) -> None:
    if evidence.latest is None:
        return
    latest = evidence.latest.date()
    beyond = dict.fromkeys(_ORDERS, 0)
    for text, count in evidence.dates.items():
        for order in _ORDERS:
            day = days.of[order][text]
            beyond[order] += count if day is not None and day > latest else 0
    best, worst = sorted(_ORDERS, key=lambda order: beyond[order])
    if beyond[worst] > 10 * beyond[best]:
        votes.add(best, 0.95 if beyond[worst] > 1 else 0.85, f"the other way {beyond[worst]} headers are of the future")


def _by_days_in_a_row(votes: _Votes, evidence: Evidence) -> None:
    """Days change more often than months."""
    changes = [0, 0]
    for before, after in zip(evidence.sequence[:5000], evidence.sequence[1:5001], strict=False):
        for place, (one, other) in enumerate(zip(_numbers(before), _numbers(after), strict=True)):
            changes[place] += one != other
    more, fewer = max(changes), min(changes)
    if more >= 3 and more >= 2 * fewer:
        first = changes[0] == more
        order = DayOrder.DAY_FIRST if first else DayOrder.MONTH_FIRST
        probability = 0.9 if more >= 6 else 0.75
        votes.add(order, probability, f"the {'first' if first else 'second'} number changes more often")


@lru_cache(maxsize=20_000)
def _numbers(text: str) -> tuple[int, int]:
    parts = parts_of(text)
    return (int(parts[0]), int(parts[1])) if len(parts) > 1 and parts[0].isdigit() and parts[1].isdigit() else (0, 0)
