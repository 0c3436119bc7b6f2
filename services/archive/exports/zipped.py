"""A zip that is written as it is sent: nothing is sought back to, and no file of it stands in memory or on a disk."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Final

_SLICE: Final = 64 * 1024


class _Pipe:
    """What `zipfile` writes, until it is taken. It has no `tell`, by which `zipfile` knows that it cannot go back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class ZipStream:
    """Members one after the other; every method gives the bytes to send. What it keeps is a line a member."""

    def __init__(self, moment: datetime) -> None:
        """`moment`: the time that all members bear."""
        self._pipe = _Pipe()
        self._zip = zipfile.ZipFile(self._pipe, "w", allowZip64=True)  # type: ignore[call-overload]  # it asks for `write` alone
        self._date = moment.timetuple()[:6]

    async def member(self, name: str, parts: AsyncIterator[bytes], *, is_packed: bool = False) -> AsyncIterator[bytes]:
        """A file. `is_packed`: pictures and the like, which only lose time."""
        info = zipfile.ZipInfo(name, self._date)
        info.compress_type = zipfile.ZIP_STORED if is_packed else zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        with self._zip.open(info, "w", force_zip64=True) as member:
            async for part in parts:
                for piece in _slices(part):
                    member.write(piece)
                    if taken := self._pipe.take():
                        yield taken
        if taken := self._pipe.take():
            yield taken

    def small(self, name: str, data: bytes) -> bytes:
        """A file whose bytes are at hand."""
        info = zipfile.ZipInfo(name, self._date)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.external_attr = 0o600 << 16
        self._zip.writestr(info, data)
        return self._pipe.take()

    def end(self) -> bytes:
        """The directory."""
        self._zip.close()
        return self._pipe.take()


def _slices(part: bytes) -> Iterable[bytes]:
    return (part[start : start + _SLICE] for start in range(0, len(part), _SLICE))
