"""A block of records as columns, and the lines among them that only look like headers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Any, Final

from services.archive.chat_export.characters import repaired
from services.archive.chat_export.findings import Doubt, DoubtReason

SHOWN_CHARS: Final = 200
FAR_BACK: Final = timedelta(days=2)
"""Late deliveries and changes of the clock stay below."""


class Rows:
    """Columns of one length. The first two are the parts of the header, as the shape orders them."""

    def __init__(self, parts: Sequence[Any], line_end: str, *, swapped: bool) -> None:
        """`parts`: what stands before the first header, then four for each record."""
        self._line_end = line_end
        self._swapped = swapped
        self.firsts: list[str] = list(parts[1::4])
        self.seconds: list[str] = list(parts[2::4])
        self.authors: list[str | None] = list(parts[3::4])
        self.bodies: list[str] = list(parts[4::4])
        self.moments: list[datetime] = []
        self.minutes: list[bytes] = []
        self.head: list[str] = []
        """Those that were to be text of the record before, and had none."""
        self._doubts: list[tuple[int, DoubtReason, str]] = []

    @property
    def dates(self) -> list[str]:
        """As written, with what stands around them."""
        return self.seconds if self._swapped else self.firsts

    @property
    def times(self) -> list[str]:
        """As written, with what stands around them."""
        return self.firsts if self._swapped else self.seconds

    def raw(self, row: int) -> str:
        """A record as the file has it, without its line's end."""
        return f"{self.firsts[row]}{self.seconds[row]}{self.authors[row] or ''}{self.bodies[row]}"

    def without_last(self, rows: int) -> None:
        """Leave off the last ones."""
        if rows:
            for column in (self.firsts, self.seconds, self.authors, self.bodies, self.moments, self.minutes):
                del column[-rows:]

    def join(self, is_text: Callable[[int], bool], reason: DoubtReason) -> None:
        """Make such rows text of those before, and report them. Those without a row before them become the head."""
        kept: list[int] = []
        below = 0
        for row in range(len(self.bodies)):
            lines = 1 + self.bodies[row].count("\n")
            if not is_text(row):
                kept.append(row)
            elif not kept:
                self.head.append(self.raw(row))
                continue
            else:
                raw = self.raw(row)
                self._doubts.append((below, reason, _first_line(raw)))
                self.bodies[kept[-1]] += self._line_end + raw
            below += lines
        self.firsts, self.seconds = [self.firsts[row] for row in kept], [self.seconds[row] for row in kept]
        self.authors, self.bodies = [self.authors[row] for row in kept], [self.bodies[row] for row in kept]

    def look_back(self, last: datetime, seldom: Collection[str], *, author_end: str) -> None:
        """Find the records that are far older than the one before: pasted text, if their author says nothing else in the file."""
        pasted: set[int] = set()
        back: list[int] = []
        for row, at in enumerate(self.moments):
            if last - at > FAR_BACK:
                author = (self.authors[row] or "").removesuffix(author_end)
                if row and author in seldom:
                    pasted.add(row)
                    continue
                back.append(row)
            last = at
        if pasted:
            self.join(pasted.__contains__, DoubtReason.PASTED_HEADER)
        starts = self._starts() if back else []
        for row in back:
            now = row - sum(other < row for other in pasted)
            self._doubts.append((starts[now], DoubtReason.GOES_BACK, _first_line(self.raw(now))))

    def is_last_far_back(self) -> bool:
        """Whether the last row is far older than the one before."""
        return len(self.moments) > 1 and self.moments[-2] - self.moments[-1] > FAR_BACK

    def report_last(self, reason: DoubtReason) -> None:
        """Report the last row."""
        self._doubts.append((self._starts()[-2], reason, _first_line(self.raw(-1))))

    def take_doubts(self, line: int, held: int) -> list[Doubt]:
        """What was found out of rows that are given now; those held back are looked at again."""
        if not self._doubts:
            return []
        end = self._starts()[len(self.bodies) - held]
        return [Doubt(line + below, reason, text) for below, reason, text in self._doubts if below < end]

    def _starts(self) -> list[int]:
        """How many lines stand before each row, and before what follows the last."""
        return [0, *accumulate(1 + body.count("\n") for body in self.bodies)]

    def repair(self, line: int) -> list[Doubt]:
        """Make texts of other encodings readable, leave out U+0000, and tell which lines were not of the file's encoding."""
        doubts = []
        for row, body in enumerate(self.bodies):
            author = self.authors[row]
            if author is not None:
                self.authors[row] = readable(author)
            if not body.isascii() or "\x00" in body:
                said = readable(body)
                if said != body.replace("\x00", ""):
                    doubts.append(Doubt(line, DoubtReason.UNDECODABLE, said[:SHOWN_CHARS]))
                self.bodies[row] = said
            line += 1 + body.count("\n")
        return doubts


def _first_line(raw: str) -> str:
    return raw[:SHOWN_CHARS].partition("\n")[0].removesuffix("\r")


def readable(text: str) -> str:
    """The text as it can be kept: without lone surrogates and U+0000."""
    return repaired(text).replace("\x00", "")
