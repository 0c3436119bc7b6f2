"""The chat's text and its media, whether they came in a zip file or the text came by itself."""

from __future__ import annotations

import io
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

from services.archive.chat_export.findings import NotAnExport, Options
from services.archive.chat_export.survey import survey
from services.archive.imports.refusal import Refused
from services.archive.imports.zips import SIGNATURES, open_zip

BLOCK_BYTES: Final = 256 * 1024
HEAD_BYTES: Final = 64 * 1024
CANDIDATES: Final = 50
"""Texts of a zip file that are looked into for the chat."""
TEXT_BYTES: Final = 8 * 1024**3
"""Of a chat that came packed: some 80 million messages."""
MEDIA_BYTES: Final = 2 * 1024**3
"""Of one file: WhatsApp's own limit."""
_BROKEN: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
"""What the standard library raises for members that are not what the directory says."""


class Text(NamedTuple):
    """Where the chat's text is: `member` of the zip file, None where it came by itself."""

    member: str | None
    size: int


class Opened:
    """A file that was handed over. Raises `Refused` for one that cannot be taken, here and while it is read."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self._file = file
        self._size = size
        self._archive = open_zip(file, size) if self._head().startswith(SIGNATURES) else None
        self._media: dict[str, zipfile.ZipInfo] = {}
        for member in self._members():
            self._media.setdefault(_plain(member.filename), member)

    @property
    def media_count(self) -> int:
        """Files beside the text."""
        return max(0, len(self._media) - 1)

    def find_text(self, options: Options) -> Text:
        """The text, chosen by what is in it. Raises `NotAnExport` with the first lines of what comes nearest."""
        if self._archive is None:
            return Text(None, self._size)
        texts = [member for member in self._members() if member.filename.lower().endswith(".txt")]
        if not texts:
            if any(member.filename.lower().endswith(".zip") for member in self._members()):
                raise Refused("zip.nested", "The zip file holds zip files: send each by itself.")
            raise Refused("zip.no_text", "The zip file holds no text: an exported chat has one.")
        nearest: NotAnExport | None = None
        for member in sorted(texts, key=_rank)[:CANDIDATES]:
            try:
                with self._open(member) as stream:
                    survey([_read(stream, HEAD_BYTES)], options)
            except NotAnExport as error:
                nearest = nearest or error
            else:
                if member.file_size > TEXT_BYTES:
                    raise Refused(
                        "zip.too_large", f"Unpacked, the chat would have {member.file_size} bytes; {TEXT_BYTES} are taken."
                    )
                return Text(member.filename, member.file_size)
        assert nearest is not None  # each of them is one
        raise nearest

    def blocks(self, text: Text, start: int = 0) -> Iterator[bytes]:
        """The text from a byte on."""
        if text.member is None:
            self._file.seek(start)
            while block := self._file.read(BLOCK_BYTES):
                yield block
            return
        assert self._archive is not None
        with self._open(self._archive.getinfo(text.member)) as stream:
            while start > 0:  # there is no other way to a place in what is packed
                if not (passed := _read(stream, min(start, BLOCK_BYTES))):
                    return
                start -= len(passed)
            while block := _read(stream, BLOCK_BYTES):
                yield block

    def media(self, file_name: str) -> zipfile.ZipInfo | None:
        """The file that the text calls so: whatever the folder, the Unicode form, or a suffix that was put behind it."""
        wanted = _plain(file_name)
        found = self._media.get(wanted)
        if found is None and wanted.count(".") > 1:
            found = self._media.get(wanted.rpartition(".")[0])
        return found if found is None or found.file_size <= MEDIA_BYTES else None

    def media_blocks(self, member: zipfile.ZipInfo) -> Iterator[bytes]:
        """What is in it."""
        with self._open(member) as stream:
            while block := _read(stream, BLOCK_BYTES):
                yield block

    def _members(self) -> Iterator[zipfile.ZipInfo]:
        """Without folders, and without what desktops add."""
        for member in self._archive.infolist() if self._archive else ():
            name = member.filename.rpartition("/")[2]
            if not member.is_dir() and not member.filename.startswith("__MACOSX/") and name not in {".DS_Store", "Thumbs.db"}:
                yield member

    def _head(self) -> bytes:
        self._file.seek(0)
        return self._file.read(4)

    def _open(self, member: zipfile.ZipInfo) -> IO[bytes]:
        assert self._archive is not None
        try:
            return self._archive.open(member)
        except _BROKEN:
            raise _damaged() from None


def _read(stream: IO[bytes], size: int) -> bytes:
    try:
        return stream.read(size)
    except _BROKEN:
        raise _damaged() from None


def _damaged() -> Refused:
    return Refused("zip.corrupt", "A file in the zip file is damaged, or not what its header says.")


def _rank(member: zipfile.ZipInfo) -> tuple[bool, bool, int]:
    """The likeliest first."""
    name = member.filename.rpartition("/")[2].lower()
    return name != "_chat.txt", "whatsapp" not in name, -member.file_size


def _plain(name: str) -> str:
    """A file's name without its folders, as names are compared."""
    return unicodedata.normalize("NFC", name.replace("\\", "/").rpartition("/")[2]).strip("\u200e\u200f\u202a\u202c ")
