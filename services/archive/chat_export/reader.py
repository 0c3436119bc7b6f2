"""The second pass: bytes to records.

A block of text is split at its headers in one go, and what follows works on columns: dates, times, authors, bodies. Python is run
for a record only to tell whether somebody said it in so many words, which is nearly always; `unusual.py` has the rest.
"""

from __future__ import annotations

import re
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from operator import add, gt, itemgetter
from typing import Any, Final
from unicodedata import normalize

from services.archive.chat_export.bodies import PLACE_HOST
from services.archive.chat_export.characters import ODD, plain
from services.archive.chat_export.day_order import order_asked
from services.archive.chat_export.findings import Doubt, DoubtReason, LineEnds, Options, Survey
from services.archive.chat_export.markers import MARKERS
from services.archive.chat_export.moments import MAX_KNOWN, Clocks, Days
from services.archive.chat_export.rows import SHOWN_CHARS, Rows
from services.archive.chat_export.scan import MAX_RECORD_CHARS, Unread, header_pattern
from services.archive.chat_export.shapes import HEADER_CHARS, LOOKS_LIKE_HEADER
from services.archive.chat_export.unusual import Unusual
from services.archive.domain.imported import Kind, Record

_REMEMBERED: Final = 256
"""Fingerprints of past minutes, to tell equal messages apart that a late delivery has torn apart."""
_TOLD_APART: Final = 2048
"""Messages of one minute, and of past ones, that are counted each by itself; a file could have all of its own in one minute. Those
beyond are counted in 256 lots: the same file, or one with the same beginning of that minute, still has the same fingerprints."""
_FIRST: Final = itemgetter(0)
_SECOND: Final = itemgetter(1)
_CLOSING: Final = frozenset(">)\uff09")
_MAX_SUSPECTS: Final = 1000
"""Of one record: a hostile one could have ten thousands."""
_STEP_BYTES: Final = 192 * 1024
"""So much is read at once: a fifth faster than a megabyte, which leaves the processor's cache."""
_MARKED_LINE: Final = re.compile("[>):\uff09\uff1a] ?\n")
"""Where a file's marker may end and its caption begin, or a poll's label."""
_OTHER_HEADER: Final = re.compile(r"\n" + LOOKS_LIKE_HEADER.pattern)


class Reader:
    """Reads one export. Feed it the file from `offset` on, in blocks of any size (a megabyte or so is best)."""

    def __init__(self, survey: Survey, options: Options | None = None, state: dict[str, Any] | None = None) -> None:
        """With a `state` it goes on where that was taken; the file is then fed from `offset` on."""
        options = options or Options()
        order = survey.day_order
        if options.day_order is not None and order_asked(survey.shape, options.day_order):
            order = options.day_order
        state = state or {}
        self._is_crlf = survey.line_ends is LineEnds.CRLF
        self._line_end = "\r\n" if survey.line_ends is LineEnds.PURE else "\n"
        self._unusual = Unusual(survey)
        self._header = re.compile(
            header_pattern(survey.shape, line_end=self._line_end, with_colons=self._unusual.names_with_colons)
        )
        self._days = Days(survey.shape, order, options.latest)
        self._clocks = Clocks()
        self._author_end = survey.shape.author_end
        self._swapped = survey.shape.is_time_first
        self._seldom = frozenset(name for person in survey.people if person.records < 2 for name in person.raw_names)
        self._unread = Unread(state.get("encoding", survey.encoding))
        self._came: int = state.get("offset", 0)
        self._ordinal: int = state.get("ordinal", 0)
        self._line: int = state.get("line", 1)
        self._last_at = datetime.fromisoformat(state["last_at"]) if state.get("last_at") else datetime.min  # noqa: DTZ901  # wall time
        self._minute: bytes = bytes.fromhex(state.get("minute", ""))
        self._seen: dict[bytes, int] = {bytes.fromhex(digest): count for digest, count in state.get("seen", {}).items()}
        self._is_within: bool = state.get("is_within", False)
        self._is_skipping: bool = state.get("is_skipping", False)
        self._doubts: list[Doubt] = []
        self._reported: set[int] = set()

    @property
    def offset(self) -> int:
        """The byte in the file up to which all records have been given; a crash resumes here with `state()`."""
        return self._came - self._unread.size_bytes

    def feed(self, block: bytes) -> list[Record]:
        """The records that are complete by now, in the file's order."""
        records: list[Record] = []
        for start in range(0, len(block), _STEP_BYTES):
            step = block[start : start + _STEP_BYTES]
            self._came += len(step)
            records += self._read(self._unread.with_block(step), is_end=False)
        return records

    def finish(self) -> list[Record]:
        """The file has ended: the last records."""
        text = self._unread.with_block(b"")
        return self._read(text.removesuffix("\n").removesuffix("\r") + self._line_end, is_end=True) if text else []

    def take_doubts(self) -> list[Doubt]:
        """The lines not understood since this was last called, in the file's order."""
        taken, self._doubts = sorted(self._doubts), []
        return taken

    def state(self) -> dict[str, Any]:
        """What a new reader needs to go on at `offset`, as JSON values. Its size does not grow with the file."""
        return {
            "offset": self.offset,
            "encoding": self._unread.encoding,
            "ordinal": self._ordinal,
            "line": self._line,
            "last_at": self._last_at.isoformat(),
            "minute": self._minute.hex(),
            "seen": {digest.hex(): count for digest, count in self._seen.items()},
            "is_within": self._is_within,
            "is_skipping": self._is_skipping,
        }

    def _read(self, text: str, *, is_end: bool) -> list[Record]:
        # A header is looked for behind a line's end. Within a long line there is none before the text.
        parts = self._header.split(text if self._is_within else self._line_end + text)
        rows = self._rows(parts)
        if parts[0] or rows.head or self._is_within:
            self._pass_over(parts[0] or "", rows.head, is_last=not rows.bodies, is_end=is_end)
        if not rows.bodies:
            return []
        self._is_within = self._is_skipping = False
        beyond = held = 0
        if is_end:
            rows.bodies[-1] = rows.bodies[-1].removesuffix(self._line_end)
        elif len(rows.raw(-1)) > MAX_RECORD_CHARS:
            beyond = self._cut(rows)
        else:
            # Whether a record of long ago is one of the chat is known when its author is.
            held = 2 if rows.is_last_far_back() and self._line_end not in rows.bodies[-1] else 1
            self._unread.keep(rows.raw(-1) if held == 1 else rows.raw(-2) + self._line_end + rows.raw(-1))
        told = rows.take_doubts(self._line, held)
        self._doubts += told
        self._reported = {doubt.line for doubt in told}
        rows.without_last(held)
        if is_end or beyond or "\x00" in text or not self._unread.is_clean:
            self._doubts += rows.repair(self._line)
        records = self._records(rows)
        self._line += beyond
        return records

    def _rows(self, parts: list[str | Any]) -> Rows:
        rows = Rows(parts, self._line_end, swapped=self._swapped)
        for known in (self._days, self._clocks):
            if len(known) > MAX_KNOWN:
                known.clear()
        if not self._date(rows):
            dates, times = list(map(self._days.__getitem__, rows.dates)), list(map(self._clocks.__getitem__, rows.times))
            rows.join(lambda row: dates[row] is None or times[row] is None, DoubtReason.IMPOSSIBLE_TIME)
            self._date(rows)
        if rows.moments and (rows.moments[0] < self._last_at or any(map(gt, rows.moments, rows.moments[1:]))):
            rows.look_back(self._last_at, self._seldom, author_end=self._author_end)
            self._date(rows)
        return rows

    def _date(self, rows: Rows) -> bool:
        """Fill in the moments; False where some of the headers have none."""
        dates: list[Any] = list(map(self._days.__getitem__, rows.dates))
        times: list[Any] = list(map(self._clocks.__getitem__, rows.times))
        if not all(dates) or not all(times):
            return False
        rows.moments = list(map(add, map(_FIRST, dates), map(_FIRST, times)))
        rows.minutes = list(map(add, map(_SECOND, dates), map(_SECOND, times)))
        return True

    def _records(self, rows: Rows) -> list[Record]:  # noqa: C901, PLR0912  # one loop is what makes it fast
        """The hot loop."""
        if not rows.bodies:
            return []
        if self._is_crlf:
            rows.bodies = [body.replace("\r\n", "\n").removesuffix("\r") for body in rows.bodies]
        known, unusual, whole, seen = self._unusual.authors, self._unusual.record, MARKERS.as_written, self._seen
        new, record_type, text, digest_of, closing = tuple.__new__, Record, Kind.TEXT, blake2b, _CLOSING
        ordinal, line, last_minute = self._ordinal, self._line, self._minute
        records: list[Record] = []
        append = records.append
        for at, minute, who, body in zip(rows.moments, rows.minutes, rows.authors, rows.bodies, strict=True):
            author = known.get(who)
            breaks = body.count("\n")
            is_ascii = body.isascii()
            if (
                author is None
                or body in whole
                or body[-1] in closing
                or ("://" in body and PLACE_HOST.search(body))
                or (not is_ascii and ("\u200e" in body or "\u200f" in body))
                or (breaks and _MARKED_LINE.search(body))
            ):
                name, kind, said, file_name, is_edited, details, same = unusual(who, author, body, line, self._doubts)
            else:
                name, same = author
                kind, said, file_name, is_edited, details = text, body, None, False, None
                # Nothing that `plain` changes can be printed.
                if is_ascii or body.isprintable() or not ODD.search(body):
                    same += (body if is_ascii else normalize("NFC", body)).encode()
                else:
                    same += plain(body).encode()
            if minute != last_minute:
                last_minute = minute
                if len(seen) > _REMEMBERED:
                    seen.clear()
            digest = digest_of(minute + same, digest_size=16).digest()
            if digest in seen:
                seen[digest] = count = seen[digest] + 1
                digest = digest_of(b"%d %s" % (count, digest), digest_size=16).digest()
            elif len(seen) < _TOLD_APART:
                seen[digest] = 1
            elif (lot := digest[:1]) in seen:
                # Counted with others, so that it still differs from what is equal to it.
                seen[lot] = count = seen[lot] + 1
                digest = digest_of(b"%d %s" % (count, digest), digest_size=16).digest()
            else:
                seen[lot] = 1
            append(new(record_type, (ordinal, line, at, name, kind, said, file_name, is_edited, digest, details)))
            ordinal += 1
            line += 1
            if breaks:
                if _OTHER_HEADER.search(body):
                    self._suspect(body, line)
                line += breaks
        self._ordinal, self._line, self._minute, self._last_at = ordinal, line, last_minute, rows.moments[-1]
        return records

    def _suspect(self, body: str, line: int) -> None:
        """Report the lines of a body that look like headers of another file. `line` is the number of its second line."""
        lines = enumerate(body.split("\n")[1:], start=line)
        looking = ((number, text) for number, text in lines if number not in self._reported and LOOKS_LIKE_HEADER.match(text))
        self._doubts += (
            Doubt(number, DoubtReason.OTHER_HEADER, text[:SHOWN_CHARS]) for number, text in islice(looking, _MAX_SUSPECTS)
        )

    def _pass_over(self, text: str, head: list[str], *, is_last: bool, is_end: bool) -> None:
        """What stands before the first header of the file, or what was cut off a record that is too long; then a head of records
        that cannot be."""
        line_end = self._line_end
        at = text.removeprefix("" if self._is_within else line_end).count("\n") + 1 if text or self._is_within else 0
        # What was cut off has been reported with its record, and a line that is too long with its beginning.
        first = at if self._is_skipping else int(self._is_within)
        impossible: set[int] = set()
        for raw in head:
            impossible.add(at)
            at += raw.count("\n") + 1
        text = "".join([text, *(line_end + raw for raw in head)])
        if not self._is_within:
            text = text.removeprefix(line_end)
        keep = ""
        if is_last and not is_end:
            start = text.rfind(self._line_end) + 1
            start = start - 1 + len(self._line_end) if start else 0
            is_within = self._is_within and not start
            if not is_within and len(text) - start <= MAX_RECORD_CHARS:
                self._is_within = False
                text, keep = text[:start], text[start:]
            else:
                self._is_within = True
                text, keep = (text[:-1], "\r") if text.endswith("\r") else (text, "")
        self._unread.keep(keep)
        if head or not self._is_skipping:
            self._is_skipping = False
            self._doubts += (
                Doubt(
                    self._line + at,
                    DoubtReason.IMPOSSIBLE_TIME if at in impossible else DoubtReason.PREAMBLE,
                    line[:SHOWN_CHARS].rstrip("\r"),
                )
                for at, line in enumerate(text.split("\n"))
                if at >= first and line.strip("\r\ufeff")
            )
        self._line += text.count("\n") + (0 if is_last else 1)

    def _cut(self, rows: Rows) -> int:
        """The last record is longer than any can be: it is given as far as it came, and what follows is passed over. How many lines
        farther than its end the text is read."""
        body = rows.bodies[-1]
        end = body.rfind(self._line_end, len(body) - HEADER_CHARS)
        keep = body[end + len(self._line_end) :] if end >= 0 else "\r" if body.endswith("\r") else ""
        self._unread.keep(keep)
        self._is_skipping, self._is_within = True, end < 0
        rows.report_last(DoubtReason.TOO_LONG)
        rows.bodies[-1] = body[: min(MAX_RECORD_CHARS, len(body) - len(keep))]
        return body.count("\n") - rows.bodies[-1].count("\n") - 1
