"""Zip files of strangers: looked over before anything in them is unpacked.

Names are never paths here, so `..` could do no harm; a file that has such names was made to do some, and is refused. What a member
claims of its size is a bound: reading stops there, and the checksum tells that it lied.
"""

from __future__ import annotations

import re
import stat
import struct
import zipfile
from collections.abc import Sequence
from typing import IO, Final

from services.archive.imports.refusal import Refused

MEMBERS: Final = 65_000
DIRECTORY_BYTES: Final = 24 * 1024 * 1024
UNPACKED_BYTES: Final = 64 * 1024**3
"""Of all members; they are unpacked one at a time."""
RATIO: Final = 200
"""Chats come down to a fifth; what comes down to less than a two hundredth is no chat and no picture."""
RATIO_FROM_BYTES: Final = 4 * 1024 * 1024
METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
SIGNATURES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

_END: Final = struct.Struct("<4s4H2LH")
_END_SIGNATURE: Final = b"PK\x05\x06"
_END64_PLACE: Final = struct.Struct("<4sLQL")
_END64: Final = struct.Struct("<4sQ2H2L4Q")
_LONGEST_COMMENT: Final = 65_535
_MEMBER_SIGNATURE: Final = b"PK\x01\x02"
_LOCAL_BYTES: Final = 30
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_ENCRYPTED: Final = 0x1 | 0x40 | 0x2000


def open_zip(file: IO[bytes], size: int) -> zipfile.ZipFile:
    """The archive, once it may be trusted. Raises `Refused`."""
    start = _check_directory(file, size)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, UnicodeDecodeError):
        raise _corrupt() from None
    _check_members(archive.infolist(), start)
    return archive


def _check_directory(file: IO[bytes], size: int) -> int:
    """The directory is read into memory: first look how large it is. Returns where it starts."""
    tail_start = max(0, size - _END.size - _LONGEST_COMMENT)
    file.seek(tail_start)
    tail = file.read(size - tail_start)
    at = tail.rfind(_END_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        raise Refused("zip.truncated", "The zip file has no end: it was cut off on its way.")
    count, length, offset = _directory(_END.unpack_from(tail, at)[4:7])
    if count == 0xFFFF or 0xFFFFFFFF in {length, offset}:
        count, length, offset = _end64(file, tail_start + at) or (count, length, offset)
    if count > MEMBERS:
        raise Refused("zip.too_many_files", f"The zip file has {count} files; {MEMBERS} are taken at most.")
    if length > DIRECTORY_BYTES or offset + length > size:
        raise _corrupt()
    file.seek(offset)
    if file.read(length).count(_MEMBER_SIGNATURE) > MEMBERS:
        raise Refused("zip.too_many_files", f"The zip file has more than {MEMBERS} files.")
    return offset


def _directory(found: tuple[int, ...]) -> tuple[int, int, int]:
    count, length, offset = found
    return count, length, offset


def _end64(file: IO[bytes], end: int) -> tuple[int, int, int] | None:
    """Count, length and offset of the directory of a large archive."""
    if end < _END64_PLACE.size:
        return None
    file.seek(end - _END64_PLACE.size)
    signature, _, place, _ = _END64_PLACE.unpack(file.read(_END64_PLACE.size))
    if signature != b"PK\x06\x07" or place + _END64.size > end:
        return None
    file.seek(place)
    found = _END64.unpack(file.read(_END64.size))
    return _directory(found[7:10]) if found[0] == b"PK\x06\x06" else None


def _check_members(members: Sequence[zipfile.ZipInfo], directory: int) -> None:
    total = 0
    for member in members:
        name = member.orig_filename
        if member.flag_bits & _ENCRYPTED:
            raise Refused("zip.encrypted", "The zip file has a password: send it without one.")
        if "\x00" in name or _DRIVE.match(name) or name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name):
            raise Refused("zip.path_traversal", "The zip file names a place outside itself.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise Refused("zip.link", "The zip file holds a link.")
        if member.compress_type not in METHODS:
            raise Refused("zip.method_unsupported", "The zip file is packed in a way other than Deflate.")
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            raise Refused("zip.lying", "The zip file's headers contradict each other.")
        if member.file_size > max(RATIO_FROM_BYTES, RATIO * member.compress_size):
            raise Refused("zip.bomb", f"A file in the zip file would grow to more than {RATIO} times its size.")
        total += member.file_size
    if total > UNPACKED_BYTES:
        raise Refused("zip.too_large", f"Unpacked, the zip file would have {total} bytes; {UNPACKED_BYTES} are taken at most.")
    end = 0
    for member in sorted(members, key=lambda one: one.header_offset):
        if member.header_offset < end:
            raise Refused("zip.overlap", "Files in the zip file overlap.")
        end = member.header_offset + _LOCAL_BYTES + member.compress_size
    if end > directory:
        raise Refused("zip.lying", "The zip file's headers contradict each other.")


def _corrupt() -> Refused:
    return Refused("zip.corrupt", "The zip file is damaged.")
