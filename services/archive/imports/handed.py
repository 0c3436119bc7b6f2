"""A file that was handed over in parts, as one that can be read at any place."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from services.archive.store.imports import Part
from shared.objects.store import ObjectStore

READ_BYTES: Final = 1024 * 1024
"""Asked of the store at once."""


def open_handed(objects: ObjectStore, parts: Sequence[Part]) -> io.BufferedReader:
    """The whole file, for processes without a loop. Reading raises `NoObject` and `ObjectsAway`."""
    return io.BufferedReader(_Handed(objects, parts), READ_BYTES)


class _Handed(io.RawIOBase):
    def __init__(self, objects: ObjectStore, parts: Sequence[Part]) -> None:
        super().__init__()
        self._objects = objects
        self._parts = parts
        self._starts = [part.start for part in parts]
        self._size = parts[-1].start + parts[-1].size if parts else 0
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("before the file's beginning")
        self._place = base + offset
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # any buffer there
        if self._place >= self._size or not len(buffer):
            return 0
        part = self._parts[bisect_right(self._starts, self._place) - 1]
        start = self._place - part.start
        end = min(start + len(buffer), part.size)
        buffer[: end - start] = self._objects.read_blocking(part.object_key, start, end)
        self._place += end - start
        return end - start
