"""What the reading process and the service say to each other.

To the process, lines of JSON: the job, then the speakers it asks for. From it, frames: a length, a header in JSON that says what
the frame is, and the sections of bytes whose lengths stand in the header.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Any, BinaryIO, Final, NamedTuple

import orjson

_LENGTH: Final = struct.Struct(">I")
HEADER_BYTES: Final = 64 * 1024 * 1024
"""A header has so many at most: the survey of a file with very many people."""


class Frame(NamedTuple):
    """One thing that was said."""

    kind: str
    header: dict[str, Any]
    sections: list[bytes]


def write_frame(out: BinaryIO, kind: str, header: dict[str, Any], sections: Sequence[bytes] = ()) -> None:
    """Say it, named tuples as lists; waits while the service does not listen."""
    head = orjson.dumps({**header, "kind": kind, "sections": [len(section) for section in sections]}, default=list)
    out.write(_LENGTH.pack(len(head)))
    out.write(head)
    out.writelines(sections)
    out.flush()


async def read_frame(stream: asyncio.StreamReader) -> Frame:
    """The next thing that was said. Raises `asyncio.IncompleteReadError` where the process has ended."""
    (length,) = _LENGTH.unpack(await stream.readexactly(_LENGTH.size))
    if length > HEADER_BYTES:
        raise ValueError("a frame's header is too long")
    header = orjson.loads(await stream.readexactly(length))
    sections = [await stream.readexactly(size) for size in header["sections"]]
    return Frame(header["kind"], header, sections)
