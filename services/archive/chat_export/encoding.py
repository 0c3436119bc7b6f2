"""The file's encoding: UTF-8 as it is written, UTF-16 where a Windows editor has saved it again, both where files were joined."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

SNIFFED_BYTES: Final = 512
_BOMS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_TO_UTF_16: Final = re.compile(
    rb"\xff\xfe(?:[\x0e\x0f]\x20)?(?=[\x20-\x7e]\x00[\x20-\x7e]\x00)"
    rb"|\xfe\xff(?:\x20[\x0e\x0f])?(?=\x00[\x20-\x7e]\x00[\x20-\x7e])"
    rb"|(?<=\n)(?=(?:\[\x00)?(?:[0-9]\x00){1,4}[./-]\x00[0-9]\x00)"
    rb"|(?<=\n)(?=(?:\x00\[)?(?:\x00[0-9]){1,4}\x00[./-]\x00[0-9])"
)
"""Where a part in UTF-16 begins: with its mark, which no UTF-8 holds, or with a header."""
_TO_UTF_8: Final = re.compile(rb"\xef\xbb\xbf|(?:\xe2\x80[\x8e\x8f])?\[?[0-9]{1,4}[./-][0-9]{1,2}[./-][0-9]{1,4}")
"""Where a part in UTF-8 begins: read as UTF-16, these are rare characters, never one after the other."""


def parts_in(data: bytes, encoding: str) -> Iterator[tuple[bytes, str]]:
    """The bytes cut where their encoding changes. `encoding` is that of the first ones."""
    start = sought = 0
    while True:
        if encoding == "utf-8":
            # Whoever begins with a text of his own has no zeros in it.
            found = _TO_UTF_16.search(data, sought) if b"\x00" in data else None
        else:
            found = _TO_UTF_8.search(data, sought + 1)
        if found is None:
            yield data[start:], encoding
            return
        # Half a character before it would be lost: it goes to what follows.
        end = found.start() if encoding == "utf-8" else start + ((found.start() - start) & ~1)
        if end > start:
            yield data[start:end], encoding
        start, sought = end, found.start() + 1
        encoding = _utf_16_at(data, start) if encoding == "utf-8" else "utf-8"


def _utf_16_at(data: bytes, start: int) -> str:
    head = data[start : start + 2]
    return "utf-16-le" if head == b"\xff\xfe" or (head != b"\xfe\xff" and head[0]) else "utf-16-be"


def encoding_of(head: bytes) -> str:
    """The encoding of a file that begins so: by its byte-order mark or, without one, by where its zeros are."""
    for mark, name in _BOMS:
        if head.startswith(mark):
            return name
    head = head[:SNIFFED_BYTES]
    # Headers are ASCII in most languages: in UTF-16 half of their bytes are zero, all on one side.
    even, odd = head[0::2].count(0), head[1::2].count(0)
    if max(even, odd) * 4 > len(head) and min(even, odd) * 20 < len(head):
        return "utf-16-le" if odd > even else "utf-16-be"
    return "utf-8"


def decoded(data: bytes, encoding: str) -> tuple[str, bool]:
    """The text of some bytes, and whether all of it was of the encoding, but for a character cut off at the end. Never fails,
    and `encoded` gives the same bytes back: what is not of the encoding becomes lone surrogates (`characters.repaired` says what is
    made of them)."""
    try:
        return data.decode(encoding), True
    except UnicodeDecodeError as error:
        is_cut = error.end == len(data) and len(data) - error.start < 4
        return data.decode(encoding, _errors(encoding)), is_cut


def encoded(text: str, encoding: str) -> bytes:
    """The bytes of a text that `decoded` gave."""
    return text.encode(encoding, _errors(encoding))


def whole_units(data: bytes, encoding: str) -> int:
    """How many bytes from the start are whole units of the encoding."""
    return len(data) if encoding == "utf-8" else len(data) & ~1


def _errors(encoding: str) -> str:
    return "surrogateescape" if encoding == "utf-8" else "surrogatepass"
