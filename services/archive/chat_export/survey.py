"""The first pass: what a file is. Only headers are looked at, so it runs several times as fast as the reading."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, datetime
from itertools import chain, islice
from typing import Final

from services.archive.chat_export.characters import repaired
from services.archive.chat_export.day_order import Decision, decide, order_asked
from services.archive.chat_export.encoding import encoding_of
from services.archive.chat_export.findings import LineEnds, NotAnExport, Options, Platform, Survey
from services.archive.chat_export.headers import Headers
from services.archive.chat_export.scan import MAX_RECORD_CHARS, Unread, header_pattern
from services.archive.chat_export.shapes import Shape, shape_of, shape_of_most
from services.archive.chat_export.times import parts_of

SAMPLE_BYTES: Final = 2 << 20
"""The shape is settled by this much of the beginning."""
FIRST_LINES: Final = 200
"""A header stands among these, or it is no export."""
LINES_PER_HEADER: Final = 2000
_SAMPLED_LINES: Final = 2000
_SHOWN_LINES: Final = 5
_ENOUGH_NAMES: Final = 200
_LAST_YEAR_UNWRITTEN: Final = 2015
"""Until then the application left out the year that it was."""
_NAME_PART: Final = re.compile("-(?:WA[0-9]|PHOTO-|VIDEO-|AUDIO-|STICKER-|GIF-)")
_DATED_NAME: Final = re.compile(r"(?:IMG|VID|PTT|AUD|STK|DOC)-(\d{4})(\d\d)(\d\d)-WA|\d{8}-[A-Z]+-(\d{4})-(\d\d)-(\d\d)-")


def survey(chunks: Iterable[bytes], options: Options | None = None) -> Survey:
    """Read the whole text once, in chunks of any size. Raises NotAnExport."""
    options = options or Options()
    chunks = iter(chunks)
    head = _sample(chunks)
    encoding = encoding_of(head)
    unread = Unread(encoding)
    text = unread.with_block(head)
    lines = text[:SAMPLE_BYTES].split("\n")
    shape = _shape_among(lines)
    unread.keep(text)
    ended = [at for at, line in enumerate(lines[:-1], start=1) if line.endswith("\r")]
    counting = _Pass(
        shape, unread, options.latest, is_crlf=bool(ended) and all(not lines[at] or shape_of(lines[at]) for at in ended[:1000])
    )
    for chunk in chain([b""], chunks):
        counting.feed(chunk)
    found = counting.found(encoding, options)
    if found is None:
        raise NotAnExport(_shown(lines))
    return found


class _Pass:
    """What has been counted so far."""

    def __init__(self, shape: Shape, unread: Unread, latest: datetime | None, *, is_crlf: bool) -> None:
        """`is_crlf`: in the beginning every CRLF ends a record."""
        self._shape, self._unread = shape, unread
        self._size = unread.size_bytes
        first_words = r"([^:\r\n\u200e\u200f]{1,60}+: )?+([\u200e\u200f][^\r\n]{1,160})?"
        self._header = re.compile(header_pattern(shape, line_end="\r\n" if is_crlf else "\n") + first_words)
        # Behind the line's end, so that searching begins with a literal.
        self._bare_header = re.compile(header_pattern(shape, line_end=r"\n(?<!\r\n)") + first_words) if is_crlf else None
        self._crlf = self._lines = 0
        self._headers = Headers(shape, latest)
        self._bare_headers = Headers(shape, latest)
        self._named: list[tuple[str, date]] = []
        self._is_first = True

    def feed(self, chunk: bytes) -> None:
        """Count the whole lines there are by now."""
        self._size += len(chunk)
        text = self._unread.with_block(chunk)
        end = text.rfind("\n")
        # The next block begins with this line's end: headers are looked for behind one. Of an endless line its beginning will do.
        start = end - (text[end - 1 : end] == "\r")
        if start > 0 or (end >= 0 and self._is_first):
            self._keep(text, start)
            self._count(text[:end])
        else:
            self._keep(text, 0)

    def _keep(self, text: str, start: int) -> None:
        self._unread.keep(text[start : start + MAX_RECORD_CHARS], passed_over=max(0, len(text) - start - MAX_RECORD_CHARS))

    def _count(self, text: str) -> None:
        if self._is_first:
            text = "\r\n" + text
            self._is_first = False
            self._crlf -= 1
            self._lines -= 1
        self._lines += text.count("\n")
        self._crlf += text.count("\r\n")
        self._headers.add(self._header.findall(text))
        if self._bare_header is not None:
            self._bare_headers.add(self._bare_header.findall(text))
        if len(self._named) < _ENOUGH_NAMES:
            self._named += self._dated_names(text)

    def _dated_names(self, text: str) -> Iterator[tuple[str, date]]:
        which = 2 if self._shape.is_time_first else 1
        for part in islice(_NAME_PART.finditer(text), 2 * _ENOUGH_NAMES):
            found = _DATED_NAME.search(text, max(0, part.start() - 12), part.end() + 20)
            if found is None:
                continue
            start = text.rfind("\n", 0, found.start())
            header = self._header.match(text, start) or self._header.match(text, max(0, start - 1))
            year, month, day = (int(part) for part in found.groups() if part)
            if header is not None and 2009 <= year <= 2100 and 1 <= month <= 12 and 1 <= day <= 28:
                yield header[which], date(year, month, day)

    def found(self, encoding: str, options: Options) -> Survey | None:
        """What it all comes to; None where there are too few headers for an export."""
        rest = self._unread.with_block(b"")
        self._count(rest.removesuffix("\n").removesuffix("\r"))
        ends = self._line_ends()
        headers = self._headers
        if ends is not LineEnds.PURE:
            headers.take_in(self._bare_headers)
        if headers.count == 0 or headers.count * LINES_PER_HEADER < self._lines:
            return None
        shape = self._with_default_year(options)
        decision = decide(shape, headers.evidence(self._named, options.latest))
        if order_asked(shape, options.day_order):
            decision = Decision(options.day_order or decision.order, 1.0, ("as asked for", *decision.reasons))
        span = headers.span(shape, decision.order, options.latest)
        if span is None:
            return None
        return Survey(
            encoding=encoding,
            platform=Platform.IOS
            if shape.is_bracketed or (shape.has_seconds and shape.end in {": ", " "})
            else Platform.ANDROID,
            shape=shape,
            line_ends=ends,
            day_order=decision.order,
            confidence=decision.confidence,
            reasons=decision.reasons,
            people=headers.people(decision.order),
            first=span[0],
            last=span[1],
            records=headers.count - headers.impossible(decision.order).total(),
            lines=self._lines + 1,
            size_bytes=self._size,
        )

    def _line_ends(self) -> LineEnds:
        """Files that were edited, made LF or made CRLF throughout are not pure, nor are those that were joined of both kinds."""
        if self._crlf <= 0:
            return LineEnds.LF
        bare_headers, bare_lines = self._bare_headers.count, self._lines - self._crlf
        is_pure = (
            self._bare_header is not None
            and self._crlf <= self._headers.count
            and bare_lines > bare_headers
            and bare_headers <= max(3, self._headers.count // 20)
        )
        return LineEnds.PURE if is_pure else LineEnds.CRLF

    def _with_default_year(self, options: Options) -> Shape:
        if self._shape.date == "numeric":
            return self._shape
        years = [int(part) for text in self._headers.dates for part in parts_of(text) if len(part) == 4]
        if years:
            return replace(self._shape, default_year=max(years) + 1)
        if self._named:
            return replace(self._shape, default_year=max(day.year for _, day in self._named))
        latest = options.latest.year if options.latest else _LAST_YEAR_UNWRITTEN
        return replace(self._shape, default_year=min(latest, _LAST_YEAR_UNWRITTEN))


def _sample(chunks: Iterator[bytes]) -> bytes:
    """The first chunks, at least as many bytes as the shape is settled by where there are so many."""
    head = bytearray()
    for chunk in chunks:
        head += chunk
        if len(head) >= SAMPLE_BYTES:
            break
    return bytes(head)


def _shape_among(lines: list[str]) -> Shape:
    settled = shape_of_most(lines[:_SAMPLED_LINES])
    if settled is None or all(shape_of(line) is None for line in lines[:FIRST_LINES]):
        raise NotAnExport(_shown(lines))
    return settled[0]


def _shown(lines: list[str]) -> list[str]:
    return [repaired(line[:200]).replace("\x00", "").rstrip("\r") for line in lines[:_SHOWN_LINES]]
