"""Dates and times as phones write them: any digits, twelve or twenty-four hours, calendars of other eras."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from importlib.resources import files
from typing import Final

from services.archive.chat_export.characters import plain, with_ascii_digits

_MORNING: Final = (
    "am", "\u0635", "\u4e0a\u5348", "\u51cc\u6668", "\u65e9\u4e0a", "\u6e05\u6668", "\u5348\u524d", "\uc624\uc804", "sa",
    "\u03c0\u03bc", "de", "\u00f6\u00f6", "fm", "ap", "vm", "pg", "pd", "\u0642\u0638", "\u05dc\u05e4\u05e0\u05d4\u05f4\u05e6",
    "\u092a\u0942\u0930\u094d\u0935\u093e\u0939\u094d\u0928", "\u0bae\u0bc1\u0bb1\u0bcd\u0baa\u0b95\u0bb2\u0bcd",
    "\u0e01\u0e48\u0e2d\u0e19\u0e40\u0e17\u0e35\u0e48\u0e22\u0e07", "\u043f\u0440\u043e\u0431", "\u0434\u043f",
)  # fmt: skip
_AFTERNOON: Final = (
    "pm", "\u0645", "\u4e0b\u5348", "\u508d\u665a", "\u665a\u4e0a", "\u5348\u5f8c", "\uc624\ud6c4", "ch",
    "\u03bc\u03bc", "du", "\u00f6s", "em", "ip", "nm", "ptg", "md", "\u0628\u0638", "\u05d0\u05d7\u05d4\u05f4\u05e6",
    "\u0905\u092a\u0930\u093e\u0939\u094d\u0928", "\u0baa\u0bbf\u0bb1\u0bcd\u0baa\u0b95\u0bb2\u0bcd",
    "\u0e2b\u0e25\u0e31\u0e07\u0e40\u0e17\u0e35\u0e48\u0e22\u0e07", "\u0441\u043b\u043e\u0431", "\u043f\u043f",
)  # fmt: skip
_NOON: Final = "\u4e2d\u5348"  # from eleven to one
HALVES: Final[Mapping[str, str]] = {
    **dict.fromkeys(_MORNING, "morning"), **dict.fromkeys(_AFTERNOON, "afternoon"), _NOON: "noon",
}  # fmt: skip
"""The words for the halves of a day, without dots, spaces and case (Unicode CLDR, day periods; bodies of public fixtures)."""

MONTHS: Final[Mapping[str, int]] = {
    name: number
    for number, names in enumerate(
        json.loads(files(__package__).joinpath("month_names.json").read_text(encoding="utf-8"))["months"], start=1
    )
    for name in names.split()
}
"""Names of the months, which the exports of 2014 and 2015 have: without case and final full stop."""

_CLOCK: Final = re.compile(r"(\d{1,2})(?:[:.]| ?h ?)(\d{2})(?:[:.](\d{2}))?")
_USUAL_CLOCK: Final = re.compile(r"([0-9]{1,2})[:.]([0-9]{2})(?:[:.]([0-9]{2}))?(?:\]| - )")
"""What needs no closer look: a file has up to 86,400 of them."""
_NUMBERED_MONTH: Final = re.compile(r"(\d{1,2}) ?[\u6708\uc6d4]|th(?:g|\u00e1ng) (\d{1,2})")
_WORD: Final = re.compile(r"[^\W\d_][^\s\d,:]*")
_PARTS: Final = re.compile(r"[RH]?\d+")
_NOT_A_LETTER: Final = re.compile(r"[^\w\u05f4\u093e-\u094d\u0bb1-\u0bcd\u0e31-\u0e4e]|[\d_]")
_PERSIAN_DIGIT: Final = re.compile("[\u06f0-\u06f9]")
_ERAS: Final = {"R": 2018, "H": 1988}
_PERSIAN_LEAP: Final = frozenset({1, 5, 9, 13, 17, 22, 26, 30})
"""Of each 33 years; right for the years 1178 to 1633."""
_NOWRUZ: Final = (1399, date(2020, 3, 20))


def clock_of(text: str) -> timedelta | None:
    """The time of day in the part of a header that holds it; None where there is no such time. With an hour above twelve the half
    of the day says nothing: `23:59 PM` is 23:59."""
    usual = _USUAL_CLOCK.match(text)
    if usual is not None:
        hour, minute, second = int(usual[1]), int(usual[2]), int(usual[3] or 0)
        return timedelta(hours=hour, minutes=minute, seconds=second) if hour < 24 and minute < 60 and second < 60 else None
    text = with_ascii_digits(plain(text))
    found = _CLOCK.search(text)
    if found is None:
        return None
    hour, minute, second = int(found[1]), int(found[2]), int(found[3] or 0)
    half = _half_of(text[: found.start()]) or _half_of(text[found.end() :])
    if half is not None and hour <= 12:
        hour = hour % 12 + 12 if half == "afternoon" or (half == "noon" and hour % 12 < 10) else hour % 12
    if hour > 23 or minute > 59 or second > 59:
        return None
    return timedelta(hours=hour, minutes=minute, seconds=second)


def parts_of(text: str) -> tuple[str, ...]:
    """The numbers of a date as they stand, in ASCII digits; a letter of an era stays with its year."""
    return tuple(_PARTS.findall(with_ascii_digits(plain(text))))


def year_of(text: str, *, is_persian: bool = False) -> int:
    """The year that one to four digits mean, with the letter of an era or without. WhatsApp began in 2009, so two digits from 52 on
    are of the Buddhist calendar, 2552 and later."""
    if text[0] in _ERAS:
        return _ERAS[text[0]] + int(text[1:])
    year = int(text)
    if len(text) <= 2 and not is_persian:
        return year + (2000 if year < 52 else 1957)
    return year - 543 if year > 2400 else year


def day_of(year: str, month: int, day: int, *, written: str) -> date | None:
    """The day; None where the calendar has none. `written` is the date as the file has it: Persian digits and a year below 1500 are
    of the Persian calendar."""
    try:
        is_persian = _PERSIAN_DIGIT.search(written) is not None and len(year) == 4 and int(year) < 1500
        number = year_of(year, is_persian=is_persian)
        return _persian(number, month, day) if is_persian else date(number, month, day)
    except (ValueError, OverflowError):
        return None


def named_day(text: str, *, default_year: int) -> date | None:
    """The day of a date with a named month; without a year it is of the year of the export."""
    text = with_ascii_digits(plain(text)).casefold()
    numbered = _NUMBERED_MONTH.search(text)
    if numbered is not None:
        month: int | None = int(numbered[1] or numbered[2])
        text = f"{text[: numbered.start()]} {text[numbered.end() :]}"
    else:
        month = next((MONTHS[name] for name in _month_names(text) if name in MONTHS), None)
    numbers = re.findall(r"\d+", text)
    if month is None or not numbers:
        return None
    year = next((int(number) for number in numbers if len(number) == 4), default_year)
    day = next((int(number) for number in numbers if len(number) <= 2), 0)
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _month_names(text: str) -> Iterator[str]:
    """What may be the name of a month: words without what Romance and Hebrew put before one."""
    for word in _WORD.findall(text):
        bare = word.rstrip(".")
        yield from (bare, bare.removeprefix("d'").removeprefix("d\u2019"), bare.removeprefix("\u05d1"))


def _half_of(text: str) -> str | None:
    return HALVES.get(_NOT_A_LETTER.sub("", text.casefold()))


def _persian(year: int, month: int, day: int) -> date:
    """Months have 31 days up to the sixth, then 30, the last 29 or 30. Raises ValueError."""
    leap = year % 33 in _PERSIAN_LEAP
    lengths = [31] * 6 + [30] * 5 + [30 if leap else 29]
    if not (1 <= month <= 12 and 1 <= day <= lengths[month - 1]):
        raise ValueError("no such day")
    anchor, first = _NOWRUZ
    between = range(min(year, anchor), max(year, anchor))
    days = sum(366 if other % 33 in _PERSIAN_LEAP else 365 for other in between)
    return first + timedelta(days=(days if year >= anchor else -days) + sum(lengths[: month - 1]) + day - 1)
