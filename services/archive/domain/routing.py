"""Which way to go for hits, newest first. PostgreSQL is not asked to choose: its guess is wrong by a factor of a thousand where a
word is rare in general and common now, and a prepared statement does not know the word at all.

- *all*: few entries have all that the index is asked for, so it gives them, and they are sorted;
- *walk*: the hits are so dense that walking back through time meets enough of them at once;
- *spans*: between the two, and where a walk was disappointed: the index is asked for a few days or months at a time, newest first,
  by the lexemes of their own. Each time that gives too little it is asked for more; at last for all of time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from math import ceil, inf, sqrt
from typing import Final, NamedTuple

FEW: Final = 1_500
"""Entries of one lexeme that are collected and sorted without a second thought: some 2 ms."""
COLLECTED: Final = 6_000
"""Matches that are collected and sorted at once, at most: some 8 ms where they are in memory."""
WALKED_ROWS: Final = 12_000
"""Rows that a walk looks at, at most: some 9 ms."""
CHUNK_ENTRIES: Final = 3_000
"""Entries that the first span holds of what the index gives, at most."""
AMPLE: Final = 4
"""What the first span holds more than is wanted, in its own roots: hits are scattered."""
DAYS_AT_ONCE: Final = 12
"""The index looks at each entry of a span once for every part that the span is made of."""
# What the ways cost, in microseconds, measured on 10 million rows in memory: a row that the index gives, one that a walk looks at,
# an entry of the shortest list of the index, what it costs more for each day it is compared with, and an entry of the other lists.
ROW_COST: Final = 1.2
WALKED_COST: Final = 0.7
ITEM_COST: Final = 0.03
DAY_COST: Final = 0.003
POSTING_COST: Final = 0.006
BEGINNING_COST: Final = 0.18
"""An entry with any of the words that begin so: the index collects them before it compares."""
MONTH_DAYS: Final = 30
WIDER: Final = 6
"""The next span holds so many times more than one that had too little, at most."""


class Way(StrEnum):
    ALL = "all"
    WALK = "walk"
    SPANS = "spans"


class Listed(NamedTuple):
    """Of an operand of a tsquery: the entries that meet it, and what it costs to read of them."""

    entries: int
    cost: float


@dataclass(frozen=True, slots=True)
class Odds:
    """What is known before searching. `rarest`: entries with the rarest lexeme; `scope`: entries of the tenant or the conversation;
    `share`: of these the part that is expected to be hits, if the lexemes have nothing to do with each other. `total`: entries of
    the tenant, in so many `months`. `lists`: the operands that the index is asked for, the rarest first."""

    rarest: int
    scope: int
    share: float
    total: int
    months: int
    lists: tuple[Listed, ...]

    @property
    def expected(self) -> int:
        """About how many hits there are."""
        return min(self.rarest, round(self.share * self.scope))

    @property
    def given(self) -> int:
        """About how many entries the index gives for all of its operands."""
        share = 1.0
        for entries, _ in self.lists:
            share *= min(1.0, entries / self.total)
        return round(share * self.total)


def way(odds: Odds, wanted: int) -> Way:
    """The way to begin with for so many hits: the cheapest."""
    if odds.rarest <= FEW:
        return Way.ALL
    # Spans are for whatever none of them is good at: they go on from what they meet.
    costs = {Way.SPANS: _cost_of_spans(odds, wanted), Way.WALK: _cost_of_walk(odds, wanted), Way.ALL: _cost_of_all(odds)}
    return min(costs, key=lambda one: costs[one])


def helpful(odds: Odds, rows: float) -> tuple[bool, ...]:
    """Of the operands, whether the index compares with them faster than as many rows are looked at without."""
    found = []
    for entries, cost in odds.lists:
        share = min(1.0, entries / odds.total)
        helps = cost <= ROW_COST * rows * (1 - share)
        found.append(helps)
        rows *= share if helps else 1.0
    return tuple(found)


def _cost_of_all(odds: Odds) -> float:
    if odds.given > COLLECTED:
        return inf
    return ITEM_COST * odds.rarest + sum(cost for _, cost in odds.lists) + ROW_COST * odds.given


def _cost_of_walk(odds: Odds, wanted: int) -> float:
    return WALKED_COST * wanted / odds.share if wanted <= odds.share * WALKED_ROWS else inf


def _cost_of_spans(odds: Odds, wanted: int) -> float:
    share = _amply(wanted) / max(1, odds.expected)
    if share >= 1:
        return inf
    spanned, month = share * odds.total, odds.total / max(1, odds.months)
    days = ceil(spanned / month * MONTH_DAYS)
    if days > DAYS_AT_ONCE:
        spanned, days = max(spanned, month), 0
    rows = spanned
    listed = (ITEM_COST + DAY_COST * days) * min(spanned, odds.rarest) + POSTING_COST * spanned
    for (entries, cost), helps in zip(odds.lists, helpful(odds, spanned), strict=True):
        if helps:
            listed += cost
            rows *= min(1.0, entries / odds.total)
    return listed + ROW_COST * rows


def first_entries(odds: Odds, wanted: int) -> int:
    """How many entries of what the index gives the first span is to hold."""
    return min(CHUNK_ENTRIES, round(_amply(wanted) * max(1.0, odds.given / max(1, odds.expected))))


def next_entries(entries: int, met: int, missing: int) -> int:
    """How many the next span is to hold, where one of so many entries met so many hits, and some are still missing."""
    likely = entries * _amply(missing) / met if met else inf
    return max(missing, round(min(entries * WIDER, likely)))


def _amply(wanted: int) -> float:
    return wanted + AMPLE * sqrt(wanted)


class Span(NamedTuple):
    """Consecutive days or months: the first moments of the newest and of the oldest; and whether no older one has entries."""

    newest: datetime
    oldest: datetime
    is_days: bool
    is_last: bool

    def each(self) -> list[datetime]:
        """Newest first."""
        found = [self.newest]
        while found[-1] > self.oldest:
            found.append(found[-1] - timedelta(days=1) if self.is_days else previous(found[-1]))
        return found


def next_days(
    counts: Sequence[tuple[datetime, int]], newest: datetime, since: datetime, given: int, wanted_entries: int
) -> Span | None:
    """The days from that of `newest` back to about so many entries of what the index gives (`given` of all); None where they are
    too many. `newest` is the moment of an entry, the newest that counts; `counts` as for `next_months`."""
    month = month_of(newest)
    entries = next((entries for known, entries in counts if known == month), 0)
    days = newest.day if counts and month >= counts[0][0] else (following(month) - month).days
    a_day = entries / days * given / max(1, sum(entries for _, entries in counts))
    wanted = ceil(wanted_entries / a_day) if a_day else DAYS_AT_ONCE + 1
    if wanted > DAYS_AT_ONCE:
        return None
    day, end = day_of(newest), day_of(since)
    return Span(day, max(end, day - timedelta(days=wanted - 1)), is_days=True, is_last=(day - end).days < wanted)


def next_months(
    counts: Sequence[tuple[datetime, int]], newest: datetime, oldest: datetime, given: int, wanted_entries: int
) -> Span | None:
    """The months from `newest` back to about so many entries of what the index gives (`given` of all), but not beyond `oldest`;
    None where there are none. `counts` are the entries of all months that have any, newest first; what is asked for is taken to be
    as frequent in each."""
    known = [(month, entries) for month, entries in counts if oldest <= month]
    total = sum(entries for _, entries in counts)
    if not known or newest < known[-1][0]:
        return None
    wanted = wanted_entries / max(given, 1) * total
    end = known[-1][0]
    for month, entries in known:
        if month <= newest:
            wanted -= entries
            if wanted <= 0:
                end = month
                break
    return Span(min(newest, max(known[0][0], end)), end, is_days=False, is_last=end == known[-1][0])


def day_of(moment: datetime) -> datetime:
    """The first moment of its day, UTC."""
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def month_of(moment: datetime) -> datetime:
    """The first moment of its month, UTC."""
    return moment.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def previous(month: datetime) -> datetime:
    """The month before."""
    return month_of(month - timedelta(days=1))


def following(month: datetime) -> datetime:
    """The month after."""
    return month_of(month + timedelta(days=31))
