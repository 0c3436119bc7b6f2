"""An export as HTML: a zip of pages that a browser reads from a disk, with an index by month for every conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from datetime import date
from typing import Final, Protocol

from services.archive.domain.exported import ExportedEntry, media_name
from services.archive.exports.html_page import (
    Link,
    Month,
    day_line,
    entry_html,
    month_anchor,
    months_html,
    page,
    row_html,
)
from services.archive.exports.media import Media, has_file
from services.archive.exports.source import Chat, Source
from services.archive.exports.zipped import ZipStream

PAGE_ENTRIES: Final = 500
"""What a browser shows at once, even a phone's."""
LIST_ROWS: Final = 1_000
"""Conversations on a page of their list."""
INDEX: Final = "index.html"
MEDIA_FOLDER: Final = "media/"


class Counts(Protocol):
    """What is counted while a book is written."""

    entries: int
    media: int
    media_missing: int


class Book:
    """Writes the pages of one export. `is_one`: of one conversation, whose pages are not in a folder of their own."""

    def __init__(self, archive: ZipStream, media: Media | None, counts: Counts, *, is_one: bool) -> None:
        self._archive = archive
        self._media = media
        self._counts = counts
        self._is_one = is_one

    async def members(self, source: Source) -> AsyncGenerator[bytes, None]:
        """The zip's members, but for its end."""
        if self._is_one:
            empty = True
            async for chat in source.chats():
                empty = False
                async for part in _Volume(self, chat, "", []).members():
                    yield part
            if empty:
                yield self.add(INDEX, page("Nothing", "This conversation has no messages.", [], []))
            return
        rows: list[str] = []
        lists: list[str] = []
        number = 0
        async for chat in source.chats():
            number += 1
            folder = f"c{number:06d}/"
            up = [Link("../index.html", "All conversations")]
            volume = _Volume(self, chat, folder, up)
            async for part in volume.members():
                yield part
            rows.append(row_html(folder + INDEX, chat.title, volume.total))
            if len(rows) == LIST_ROWS:
                lists.append(f"conversations-{len(lists) + 1:04d}.html")
                yield self.add(lists[-1], _listed(rows, [Link(INDEX, "All conversations")]))
                rows = []
        if not lists:
            yield self.add(INDEX, _listed(rows, []))
            return
        if rows:
            lists.append(f"conversations-{len(lists) + 1:04d}.html")
            yield self.add(lists[-1], _listed(rows, [Link(INDEX, "All conversations")]))
        parts = [row_html(name, f"Conversations from {index * LIST_ROWS + 1}", LIST_ROWS) for index, name in enumerate(lists)]
        yield self.add(INDEX, _listed(parts, []))

    def add(self, name: str, document: bytes) -> bytes:
        """A page into the zip."""
        return self._archive.small(name, document)

    async def file(self, name: str, entry: ExportedEntry) -> AsyncIterator[bytes]:
        """The file of an entry into the zip, where it is still to be had; the entry gets its name then."""
        parts = None if self._media is None else await self._media.open(entry)
        if parts is None:
            self._counts.media_missing += 1
            return
        self._counts.media += 1
        async for part in self._archive.member(name, parts, is_packed=True):
            yield part
        entry.file = name.rpartition(MEDIA_FOLDER)[2]

    @property
    def has_media(self) -> bool:
        return self._media is not None

    def count(self) -> None:
        self._counts.entries += 1


class _Volume:
    """The pages of one chat."""

    def __init__(self, book: Book, chat: Chat, folder: str, up: list[Link]) -> None:
        self._book = book
        self._chat = chat
        self._folder = folder
        self._up = up
        self._body: list[str] = []
        self._on_page = 0
        self._number = 1
        self._months: list[Month] = []
        self._day: date | None = None
        self._first: date | None = None
        self.total = 0

    async def members(self) -> AsyncIterator[bytes]:
        """Its pages, each once the next one is known to follow, and then its index."""
        async for block in self._chat.blocks:
            for entry in block:
                if self._on_page == PAGE_ENTRIES:
                    yield self._page(is_last=False)
                if self._book.has_media and has_file(entry):
                    name = f"{self._folder}{MEDIA_FOLDER}{media_name(self.total + 1, entry)}"
                    async for part in self._book.file(name, entry):
                        yield part
                self._add(entry)
            await asyncio.sleep(0)
        if self._body:
            yield self._page(is_last=True)
        span = "" if self._first is None or self._day is None else f" · {self._first.isoformat()} to {self._day.isoformat()}"
        about = f"{self._chat.about} · " if self._chat.about else ""
        sub = f"{about}{self.total:,} {'message' if self.total == 1 else 'messages'}{span}"
        yield self._book.add(self._folder + INDEX, page(self._chat.title, sub, self._up, months_html(self._months)))

    def _add(self, entry: ExportedEntry) -> None:
        day = entry.local.date()
        if day != self._day or self._on_page == 0:
            if self._day is None or (day.year, day.month) != (self._day.year, self._day.month):
                self._body.append(f'<a id="{month_anchor(day)}"></a>')
                self._months.append(Month(day.year, day.month, f"{_page_name(self._number)}#{month_anchor(day)}", 0))
            self._body.append(day_line(day))
            self._day = day
            self._first = self._first or day
        self._months[-1] = self._months[-1]._replace(entries=self._months[-1].entries + 1)
        self._body.append(
            entry_html(
                entry,
                media_prefix=MEDIA_FOLDER,
                with_conversation=self._chat.is_mixed,
                shows_author=self._chat.names_authors,
            )
        )
        self._on_page += 1
        self.total += 1
        self._book.count()

    def _page(self, *, is_last: bool) -> bytes:
        links = [*self._up, Link(INDEX, "Months")]
        if self._number > 1:
            links.append(Link(_page_name(self._number - 1), "← Earlier"))
        if not is_last:
            links.append(Link(_page_name(self._number + 1), "Later →", is_far=True))
        document = page(self._chat.title, f"Page {self._number}", links, self._body)
        name = self._folder + _page_name(self._number)
        self._body, self._on_page, self._number = [], 0, self._number + 1
        return self._book.add(name, document)


def _page_name(number: int) -> str:
    return f"{number:05d}.html"


def _listed(rows: list[str], links: list[Link]) -> bytes:
    return page("Conversations", "", links, ["<table>", *rows, "</table>"])
