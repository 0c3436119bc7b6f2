"""An export from its first byte to its last, in whichever form: made as it is taken, in blocks.

Between blocks the loop turns, so that a long export keeps nobody else waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from services.archive.domain.export import Format, Scope, is_zipped
from services.archive.domain.exported import ExportedEntry, media_name, safe_name
from services.archive.exports.chat_text import ChatForm
from services.archive.exports.html_book import Book
from services.archive.exports.media import Media, has_file
from services.archive.exports.ndjson import NdjsonForm
from services.archive.exports.source import Chat, Source
from services.archive.exports.table import CsvForm
from services.archive.exports.zipped import ZipStream

MIME_TYPES: Final = {
    Format.NDJSON: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8",
    Format.WHATSAPP: "text/plain; charset=utf-8",
}
ZIP: Final = "application/zip"
CHAT_FILE: Final = "_chat.txt"
MEDIA_FOLDER: Final = "media/"
_SUFFIXES: Final = {Format.NDJSON: ".ndjson", Format.CSV: ".csv", Format.WHATSAPP: ".txt"}


Blocks = AsyncIterator[Sequence[ExportedEntry]]


class Form(Protocol):
    """How entries are written one after the other."""

    @property
    def head(self) -> bytes: ...

    def entry(self, entry: ExportedEntry) -> bytes: ...


@dataclass(slots=True)
class Tally:
    """How much has been written, as it is."""

    entries: int = 0
    media: int = 0
    media_missing: int = 0
    size_bytes: int = 0
    missing: set[str] = field(default_factory=set)
    """Entries whose files are gone."""


def mime_type(form: Format, scope: Scope) -> str:
    """What an export is sent as."""
    return ZIP if is_zipped(form, scope) else MIME_TYPES[form]


def file_name(form: Format, scope: Scope, title: str | None, moment: datetime) -> str:
    """What an export is called; `title` is a conversation's."""
    stem = "Search" if scope.search is not None else "Archive"
    if title is not None:
        stem = f"WhatsApp Chat - {title}" if form is Format.WHATSAPP else title
    dated = stem if form is Format.WHATSAPP and title is not None else f"{stem} {moment:%Y-%m-%d}"
    return safe_name(dated) + (".zip" if is_zipped(form, scope) else _SUFFIXES[form])


async def write(
    form: Format, scope: Scope, source: Source, media: Media, tally: Tally, moment: datetime
) -> AsyncGenerator[bytes, None]:
    """The export's bytes. What `source` and `media` raise passes through."""
    parts = _zipped(form, scope, source, media, tally, moment) if is_zipped(form, scope) else _plain(form, source, tally)
    async with aclosing(parts):
        async for part in parts:
            tally.size_bytes += len(part)
            yield part


def _form(form: Format) -> Form:
    match form:
        case Format.NDJSON:
            return NdjsonForm()
        case Format.CSV:
            return CsvForm()
        case _:
            return ChatForm()


async def _plain(form: Format, source: Source, tally: Tally) -> AsyncGenerator[bytes, None]:
    writer = _form(form)
    if writer.head:
        yield writer.head
    async for chat in source.chats():
        async for part in _rendered(writer, chat.blocks, tally):
            yield part


async def _rendered(writer: Form, blocks: Blocks, tally: Tally, folder: str | None = None) -> AsyncGenerator[bytes, None]:
    """A chat's entries as text. `folder`: where their files stand within the zip; None: they have none."""
    ordinal = 0
    async for block in blocks:
        for entry in block:
            ordinal += 1
            if folder is not None and has_file(entry) and entry.id not in tally.missing:
                entry.file = folder + media_name(ordinal, entry)
        yield b"".join([writer.entry(entry) for entry in block])
        tally.entries += len(block)
        await asyncio.sleep(0)


async def _zipped(
    form: Format, scope: Scope, source: Source, media: Media, tally: Tally, moment: datetime
) -> AsyncGenerator[bytes, None]:
    archive = ZipStream(moment)
    if form is Format.HTML:
        members = Book(archive, media if scope.with_media else None, tally, is_one=_is_one(scope)).members(source)
    elif form is Format.WHATSAPP:
        members = _chats(archive, scope, source, media, tally)
    else:
        members = _one_text(archive, form, source, media, tally)
    async with aclosing(members):
        async for part in members:
            yield part
    yield archive.end()


def _is_one(scope: Scope) -> bool:
    return scope.conversation_id is not None or scope.search is not None


async def _one_text(
    archive: ZipStream, form: Format, source: Source, media: Media, tally: Tally
) -> AsyncGenerator[bytes, None]:
    """Files first: then it is known which of them are gone. The same snapshot gives the same entries again."""
    ordinal = 0
    async for chat in source.chats():
        folder = f"{MEDIA_FOLDER}{(ordinal := ordinal + 1):06d}/"
        async for part in _files(archive, chat, media, tally, folder):
            yield part

    async def text() -> AsyncIterator[bytes]:
        writer, chats = _form(form), 0
        yield writer.head
        async for chat in source.chats():
            async for part in _rendered(writer, chat.blocks, tally, f"{MEDIA_FOLDER}{(chats := chats + 1):06d}/"):
                yield part

    async for part in archive.member(f"entries{_SUFFIXES[form]}", text()):
        yield part


async def _chats(archive: ZipStream, scope: Scope, source: Source, media: Media, tally: Tally) -> AsyncGenerator[bytes, None]:
    """Each chat as WhatsApp zips it: the text and its files side by side; of many, each in a folder of its own."""
    number = 0
    async for chat in source.chats():
        number += 1
        folder = "" if _is_one(scope) else f"{number:06d} {safe_name(chat.title, most=60)}/"
        if scope.with_media:
            async for part in _files(archive, chat, media, tally, folder):
                yield part
        text = _rendered(ChatForm(), chat.blocks, tally, "" if scope.with_media else None)
        async for part in archive.member(folder + CHAT_FILE, text):
            yield part
        tally.missing.clear()


async def _files(archive: ZipStream, chat: Chat, media: Media, tally: Tally, folder: str) -> AsyncGenerator[bytes, None]:
    """The files of a chat, under the names that `_rendered` gives them."""
    ordinal = 0
    async for block in chat.blocks:
        await asyncio.sleep(0)
        for entry in block:
            ordinal += 1
            if not has_file(entry):
                continue
            parts = await media.open(entry)
            if parts is None:
                tally.media_missing += 1
                tally.missing.add(entry.id)
                continue
            tally.media += 1
            async for part in archive.member(folder + media_name(ordinal, entry), parts, is_packed=True):
                yield part
