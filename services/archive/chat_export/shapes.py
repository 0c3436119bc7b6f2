"""The shape of a file's headers, found in its first lines and then demanded of every header.

    Android   DATE sep TIME SP dash SP
    iOS       [mark] "[" DATE sep TIME "]" SP
    older     DATE SP TIME ":" SP, or only a space; Korean: DATE half TIME "," SP author SP ":" SP

The date follows the phone's region, the words its language and the clock a switch of its own, so any mix occurs: a shape is made of
parts that were each seen, not chosen from a list of locales.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

from services.archive.chat_export.characters import MARKS, SPACES, plain, with_ascii_digits
from services.archive.chat_export.times import HALVES, named_day

HEADER_CHARS: Final = 64
"""No header is longer, marks included."""


def _spelled(word: str) -> str:
    """A word for half of a day with the dots and spaces that may stand in it."""
    return (
        "".join(rf"{re.escape(letter)}\.?[{SPACES}]?" for letter in word)
        if word.isalpha() and len(word) <= 4
        else re.escape(word)
    )


_LEADING_MARKS: Final = "\u061c\u200e\u200f\ufeff"
_ANY_LEAP_YEAR: Final = 2016
_IS_MARK: Final = re.compile(f"[{MARKS}]")
_HALF: Final = "(?i:" + "|".join(_spelled(word) for word in sorted(HALVES, key=len, reverse=True)) + ")"
_JOIN_WORDS: Final = ("\u00e0", "klo", "kl.", "um", "at", "a las", "\u00e0s", "alle", "\u0432", "ore", "ob", "ved", "u", "o")
_MONTH: Final = r"(?:\d{1,2} ?[\u6708\uc6d4]|(?i:thg|th\u00e1ng) \d{1,2}|[^\W\d_][^\s\d:,\[\]]{1,11})"
"""A number with the word for month, or a word that `named_day` knows."""

_NUMERIC: Final = (
    r"(?P<a>\d{1,4}|[RH]\d{1,2})(?P<s1>[./-] ?|[\u5e74\ub144] ?)(?P<b>\d{1,2})(?P<s2>[./-] ?|[\u6708\uc6d4] ?)"
    r"(?P<c>\d{4}|\d{1,2}|[RH]\d{1,2})(?P<stop>[.\u65e5\uc77c]?| \u0433\.)(?P<era> ?BE)?"
)
_NAMED: Final = (
    rf"(?:(?P<day_name>\d{{1,2}}\.? (?:de |d[\u2019'])?{_MONTH}(?:,? (?:de )?\d{{4}}(?: \u0433\.)?)?)"
    rf"|(?P<name_day>{_MONTH} ?\d{{1,2}}[\u65e5\uc77c]?(?:, \d{{4}})?))"
)
_JOIN: Final = rf"(?P<join>[,\u060c\u3001]? ?(?:(?:{'|'.join(map(re.escape, _JOIN_WORDS))}) )?)"
_TIME: Final = (
    rf"(?P<before>{_HALF} ?)?(?P<h>\d{{1,2}})(?P<colon>[:.]| ?h ?)\d{{2}}(?P<seconds>[:.]\d{{2}})?(?: ?(?P<after>{_HALF}))?"
)
_END: Final = r"(?P<end>\] ?| [-\u2013\u2014] |: |, (?=[^:\n]{1,100} : )| (?=[^:\n]{1,60}: ))"
_HEADERS: Final = tuple(
    re.compile(rf"(?P<open>\[)?{first}{_JOIN}{second}{_END}")
    for date in (_NUMERIC, _NAMED)
    for first, second in ((date, _TIME), (_TIME, date))
)
LOOKS_LIKE_HEADER: Final = re.compile(
    rf"[{MARKS}]{{0,4}}\[?[{MARKS}]{{0,4}}\d{{1,4}}[{MARKS}]{{0,4}}[./:-][{MARKS}{SPACES}]{{0,4}}\d{{1,2}}"
    r"[^\n]{0,32}?\d[:.]\d\d[^\n]{0,16}?(?:\]| [-\u2013] )"
)
"""A line that may be a header of another file."""


@dataclass(frozen=True, slots=True)
class Shape:
    """How the headers of a file look. `date` is `numeric`, `day_name` or `name_day`; `year` `first` or `last`, which of a year with
    two digits is not said for sure; `separators` what stands between the numbers and after them; `half` where the half of the day
    stands: `before`, `after` or nowhere (empty). `has_marks`: there are marks of direction inside. The parts' padding is no part of
    the shape, nor is which space is used."""

    is_bracketed: bool
    is_time_first: bool
    date: str
    year: str
    year_digits: int
    separators: tuple[str, str, str]
    join: str
    colon: str
    has_seconds: bool
    half: str
    end: str
    has_marks: bool = False
    default_year: int = 0

    @property
    def author_end(self) -> str:
        """What stands between the author and what is said."""
        return " : " if self.end == ", " else ": "

    def pattern(self) -> str:
        """A regular expression of one header with two groups, which together are all of it: the date with what opens the header and
        the time with what closes it, or, where the time comes first, the other way round."""
        mark = f"[{MARKS}]{{0,4}}" if self.has_marks else ""
        opening = rf"[{MARKS}]{{0,4}}" + (rf"\[{mark}" if self.is_bracketed else "")
        first, second = (self._time(mark), self._date(mark)) if self.is_time_first else (self._date(mark), self._time(mark))
        return f"({opening}{first}{mark}{_loose(self.join, mark)}{mark})({second}{mark}{_loose(self.end, is_end=True)})"

    def _date(self, mark: str) -> str:
        if self.date != "numeric":
            return (_NAMED.replace("?P<day_name>", "?:").replace("?P<name_day>", "?:")).replace(" ", f"[{SPACES}]")
        year = r"(?:\d{4}|[RH]\d{1,2})" if self.year_digits == 4 else r"(?:\d{2}|[RH]\d{1,2})"
        if self.year_digits == 2:
            year = r"(?:\d{1,2}|[RH]\d{1,2})"  # it may stand first and this be the day: `day_order` tells
        parts = [year, r"\d{1,2}", r"\d{1,2}"] if self.year == "first" else [r"\d{1,2}", r"\d{1,2}", year]
        spelled = zip(parts, self.separators, strict=True)
        return mark.join(f"{part}{mark}{_loose(separator, mark)}" for part, separator in spelled) + rf"(?:[{SPACES}]?BE)?"

    def _time(self, mark: str) -> str:
        half = f"{mark}[{SPACES}]?{mark}"
        before = f"{_HALF}{half}" if self.half == "before" else ""
        after = f"{half}{_HALF}" if self.half == "after" else ""
        colon = _loose(self.colon)
        seconds = rf"{mark}[:.]{mark}\d\d" if self.has_seconds else ""
        return rf"{before}\d{{1,2}}{mark}{colon}{mark}\d\d{seconds}{after}"


def shape_of(line: str) -> Shape | None:
    """The shape of the header that a line begins with, if it does."""
    head = with_ascii_digits(plain(line[: 4 * HEADER_CHARS]).lstrip("\ufeff"))
    if not head[:1].isdigit() and head[:1] != "[" and not head[:1].isalpha():
        return None
    for header in _HEADERS:
        found = header.match(head)
        if found is None:
            continue
        groups = found.groupdict()
        if (groups["open"] is not None) != groups["end"].startswith("]") or (groups["end"] == " " and not groups["seconds"]):
            continue
        named = groups.get("day_name") or groups.get("name_day")
        if named is not None and named_day(named, default_year=_ANY_LEAP_YEAR) is None:
            continue
        return _shape_from(groups, found, has_marks=_has_marks_inside(line, found.end()))
    return None


def shape_of_most(lines: Iterable[str]) -> tuple[Shape, int] | None:
    """The shape that most headers among these lines have, and how many there are. One pasted line must not decide."""
    shapes: Counter[Shape] = Counter()
    marked: set[Shape] = set()
    for line in lines:
        shape = shape_of(line)
        if shape is not None:
            plain_shape = replace(shape, has_marks=False)
            shapes[plain_shape] += 1
            if shape.has_marks:
                marked.add(plain_shape)
    if not shapes:
        return None
    ((most, count),) = shapes.most_common(1)
    return replace(most, has_marks=most in marked), count


def _shape_from(groups: dict[str, str | None], found: re.Match[str], *, has_marks: bool) -> Shape | None:
    named = next((name for name in ("day_name", "name_day") if groups.get(name)), None)
    year, digits, separators = "last", 4, ("", "", "")
    if named is None:
        a, c = groups["a"] or "", groups["c"] or ""
        has_era = not a[:1].isdigit()
        if (len(a) == 3 and not has_era) or len(a) == len(c) == 4:
            return None
        year = "first" if len(a) == 4 or has_era else "last"
        if year == "last" and len(c) == 1 and len(a) == 1:
            return None
        digits = 4 if max(len(a), len(c)) == 4 or has_era else 2
        separators = (groups["s1"] or "", groups["s2"] or "", groups["stop"] or "")
    return Shape(
        is_bracketed=groups["open"] is not None,
        is_time_first=found.start("h") < (found.start("a") if named is None else found.start(named)),
        date=named or "numeric",
        year=year,
        year_digits=digits,
        separators=separators,
        join=groups["join"] or "",
        colon=groups["colon"] or ":",
        has_seconds=groups["seconds"] is not None,
        half="before" if groups["before"] else "after" if groups["after"] else "",
        end=(groups["end"] or "").rstrip() + " " if groups["open"] is not None else groups["end"] or "",
        has_marks=has_marks,
    )


def _has_marks_inside(line: str, chars: int) -> bool:
    """Whether marks stand within the header of so many visible characters; those before it are no part of its shape."""
    inside = line.lstrip(_LEADING_MARKS)
    return any(_IS_MARK.match(char) for char in inside[:chars])


def _loose(literal: str, mark: str = "", *, is_end: bool = False) -> str:
    """A literal in which any space will do, and marks anywhere; the last of a bracket may be missing."""
    if is_end and literal.startswith("]"):
        return rf"\][{SPACES}]?"
    return mark.join(f"[{SPACES}]" if char == " " else re.escape(char) for char in literal)
