"""The headers of a file, counted: whose they are, of which days, in which order."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import compress, groupby, islice
from operator import itemgetter
from typing import Final, TypeVar

from services.archive.chat_export.bodies import said_in
from services.archive.chat_export.day_order import Evidence, day_in
from services.archive.chat_export.findings import DayOrder, Person
from services.archive.chat_export.markers import is_notice
from services.archive.chat_export.moments import MAX_KNOWN, Clocks, Days
from services.archive.chat_export.names import bare, cleaned, names_with_colons, people_among
from services.archive.chat_export.rows import readable
from services.archive.chat_export.shapes import Shape
from services.archive.chat_export.times import clock_of
from services.archive.domain.imported import Kind

Found = tuple[str, str, str, str, str]
"""Both parts of a header, the author with what ends it, then a word and another colon if they follow, and what follows a mark."""
_MAX_DISTINCT: Final = 50_000
"""Bounds what a hostile file can make the survey remember: names, dates and changes of date."""
_HEARD: Final = 8
_CAPITALS: Final = re.compile("[AP]M")
_LEAP_YEAR: Final = 2012
_BITS: Final = {order: 1 << place for place, order in enumerate(DayOrder)}
_ALL: Final = sum(_BITS.values())
_Counted = TypeVar("_Counted", bound=Hashable)


class _Orders(dict[str, int]):
    """Of a date as written, the orders in which no message can be of that day, as bits."""

    def __init__(self, shape: Shape, latest: datetime | None) -> None:
        super().__init__()
        # Where the year is not written, one is guessed later.
        shape = replace(shape, default_year=_LEAP_YEAR)
        self._known = [(_BITS[order], Days(shape, order, latest)) for order in DayOrder]

    def __missing__(self, text: str) -> int:
        self[text] = orders = sum(bit for bit, days in self._known if days[text] is None)
        return orders

    def clear(self) -> None:
        super().clear()
        for _, days in self._known:
            days.clear()


class Headers:
    """Counts. Added to in blocks; nearly all of it runs below Python."""

    def __init__(self, shape: Shape, latest: datetime | None) -> None:
        self._shape = shape
        self._impossible: Counter[tuple[str, int]] = Counter()
        self._orders = _Orders(shape, latest)
        self._clocks = Clocks()
        self._date, self._time = (itemgetter(1), itemgetter(0)) if shape.is_time_first else (itemgetter(0), itemgetter(1))
        self.count = 0
        self.dates: Counter[str] = Counter()
        self._authors: Counter[str] = Counter()
        self._seconds: Counter[tuple[str, str]] = Counter()
        self._marked: Counter[str] = Counter()
        self._heard: dict[str, list[str]] = {}
        self._sequence: list[str] = []
        self._times: dict[str, tuple[str, str]] = {}

    def add(self, found: list[Found]) -> None:
        """More of them, in the file's order."""
        if not found:
            return
        self.count += len(found)
        dates, times = list(map(self._date, found)), list(map(self._time, found))
        _add(self.dates, dates)
        if len(self._sequence) < _MAX_DISTINCT:
            self._sequence += islice((day for day, _ in groupby(dates)), _MAX_DISTINCT)
        last = dict(zip(dates, times, strict=True))
        first = dict(zip(reversed(dates), reversed(times), strict=True))
        if len(self._times) < _MAX_DISTINCT:
            self._times |= {day: (self._times.get(day, (first[day],))[0], at) for day, at in last.items()}
        authors = list(map(itemgetter(2), found))
        _add(self._authors, authors)
        self._doubt(authors, dates, times)
        _add(self._seconds, [(author, second) for _, _, author, second, _ in found if second])
        for author, body in [(author, second + marked) for _, _, author, second, marked in found if marked]:
            self._listen(author, body)

    def take_in(self, other: Headers) -> None:
        """Those of the other file's kind of line as well. Their place in the order is not known."""
        self.count += other.count
        self.dates.update(other.dates)
        self._authors.update(other._authors)
        self._impossible.update(other._impossible)
        self._times = other._times | self._times

    def evidence(self, named: Sequence[tuple[str, date]], latest: datetime | None) -> Evidence:
        """What tells the order of day and month."""
        says_am = any(_CAPITALS.search(at) for times in islice(self._times.values(), 100) for at in times)
        return Evidence(dates=self.dates, sequence=self._sequence, named=named, latest=latest, says_am=says_am)

    def span(self, shape: Shape, order: DayOrder, latest: datetime | None) -> tuple[datetime, datetime] | None:
        """The first header of the first day and the last one of the last; None where no date is possible."""
        days = [(day, text) for text in self._times if (day := day_in(text, shape, order)) is not None and day.year >= 2009]
        days = [(day, text) for day, text in days if latest is None or day <= latest.date()]
        if not days:
            return None
        (low, first), (high, last) = min(days), max(days)
        return _moment(low, self._times[first][0]), _moment(high, self._times[last][1])

    def impossible(self, order: DayOrder) -> Counter[str]:
        """How many headers have a time that cannot be where dates are of this order, by what stands for their author."""
        counts: Counter[str] = Counter()
        for (author, orders), count in self._impossible.items():
            if orders & _BITS[order]:
                counts[author] += count
        return counts

    def people(self, order: DayOrder) -> tuple[Person, ...]:
        """Who speaks, the most talkative first; also those who do so only if dates are of another order."""
        raw: Counter[str] = Counter()
        impossible: Counter[str] = Counter()
        for author, count in self.impossible(order).items():
            impossible[readable(bare(author, self._shape))] += count
        for author, count in self._authors.items():
            if author and not self._is_group(author, count):
                raw[readable(bare(author, self._shape))] += count
        seconds = {
            (readable(bare(author, self._shape)), readable(word.removesuffix(": "))): count
            for (author, word), count in self._seconds.items()
        }
        for name in names_with_colons(seconds, raw):
            first_word = next(author for author, word in seconds if name == f"{author}: {word}")
            raw[name], impossible[name] = raw.pop(first_word, 0), impossible.pop(first_word, 0)
        people: dict[str, Person] = {}
        for name, count in Counter(people_among(raw)).most_common():
            clean, is_self_chosen = cleaned(name)
            known = people.get(clean)
            raw_names = (*(known.raw_names if known else ()), name)
            records = max(0, count - impossible[name]) + (known.records if known else 0)
            if clean:
                people[clean] = Person(clean, raw_names, records, is_self_chosen)
        return tuple(sorted(people.values(), key=lambda person: -person.records))

    def _doubt(self, authors: list[str], dates: list[str], times: list[str]) -> None:
        """Count those whose time cannot be."""
        for known in (self._orders, self._clocks):
            if len(known) > MAX_KNOWN:
                known.clear()
        orders = list(map(self._orders.__getitem__, dates))
        clocks = list(map(self._clocks.__getitem__, times))
        if None in clocks:
            orders = [_ALL if clock is None else some for some, clock in zip(orders, clocks, strict=True)]
        if any(orders):
            _add(self._impossible, list(compress(zip(authors, orders, strict=True), orders)))

    def _listen(self, author: str, body: str) -> None:
        """What those say whose every word is marked: a group is the author of its own notices, on iOS."""
        self._marked[author] += 1
        heard = self._heard.get(author)
        if heard is None and len(self._heard) < _MAX_DISTINCT // 10:
            heard = self._heard[author] = []
        if heard is not None and len(heard) < _HEARD:
            heard.append(body)

    def _is_group(self, author: str, count: int) -> bool:
        heard = self._heard.get(author)
        return bool(heard) and self._marked[author] == count and all(_is_marked_notice(body) for body in heard or ())


def _is_marked_notice(body: str) -> bool:
    said = said_in(body.rstrip("\r"))
    return said.kind is Kind.TEXT and (said.is_unknown or is_notice(body))


def _moment(day: date, at: str) -> datetime:
    return datetime.combine(day, time()) + (clock_of(at) or timedelta())


def _add(counter: Counter[_Counted], values: list[_Counted]) -> None:
    """Count them; those seen once are forgotten where there are too many."""
    counter.update(values)
    if len(counter) > _MAX_DISTINCT:
        for value in [value for value, count in counter.items() if count == 1]:
            del counter[value]
