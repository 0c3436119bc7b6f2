"""Dates and times as a file writes them, learned once each."""

from __future__ import annotations

import re
from datetime import datetime, time, timedelta
from typing import Final

from services.archive.chat_export.day_order import day_in
from services.archive.chat_export.findings import DayOrder
from services.archive.chat_export.shapes import Shape
from services.archive.chat_export.times import clock_of

FIRST_YEAR: Final = 2009
"""WhatsApp did not exist before."""
MAX_KNOWN: Final = 200_000
"""More than the seconds of a day. A hostile file can write them in many ways: beyond, all is learned anew."""


_WITH_SECONDS: Final = re.compile(r"(\D*\d{1,2}[:.]\d\d)[:.]([0-5][0-9])(\D*)")
_SECONDS: Final = {f"{colon}{second:02}": timedelta(seconds=second) for colon in ":." for second in range(60)}


class Days(dict[str, tuple[datetime, bytes] | None]):
    """Of a date as written, midnight and what of it goes into a fingerprint; None where no message can be of that day."""

    def __init__(self, shape: Shape, order: DayOrder, latest: datetime | None) -> None:
        super().__init__()
        self._shape, self._order, self._latest = shape, order, latest

    def __missing__(self, text: str) -> tuple[datetime, bytes] | None:
        day = day_in(text, self._shape, self._order)
        if day is None or day.year < FIRST_YEAR or (self._latest is not None and day > self._latest.date()):
            known = None
        else:
            known = (datetime.combine(day, time()), b"%06x" % day.toordinal())
        self[text] = known
        return known


class Clocks(dict[str, tuple[timedelta, bytes] | None]):
    """Of a time as written, how long after midnight it is, and its minute for a fingerprint; None where there is no such time."""

    def __init__(self) -> None:
        super().__init__()
        self._minutes: dict[str, tuple[timedelta, bytes] | None] = {}

    def __missing__(self, text: str) -> tuple[timedelta, bytes] | None:
        # A file has up to 86,400 times with seconds: only their minutes are looked at closely.
        second = _SECONDS.get(text[5:8]) if text[8:9] == "]" else None
        if second is not None:
            minute = self._minutes.get(text[:5]) or self._minute(text[:5])
        elif (found := _WITH_SECONDS.fullmatch(text)) is not None:
            second, minute = _SECONDS[":" + found[2]], self._minute(found[1] + found[3])
        else:
            second, minute = timedelta(), self._minute(text)
        self[text] = known = None if minute is None else (minute[0] + second, minute[1])
        return known

    def clear(self) -> None:
        super().clear()
        self._minutes.clear()

    def _minute(self, text: str) -> tuple[timedelta, bytes] | None:
        if text not in self._minutes:
            clock = clock_of(text)
            self._minutes[text] = None if clock is None else (clock, b"%03x " % (clock.seconds // 60))
        return self._minutes[text]
