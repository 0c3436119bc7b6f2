"""Characters that nobody sees, and texts without them."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

MARKS: Final = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
"""The inside of a character class: marks of direction, which the application writes around times, names and markers, and byte-order
marks, which stand in the middle of files that tools have joined."""
SPACES: Final = " \u00a0\u2009\u202f"
"""The inside of a character class: what stands where a space does, as of 2023 U+202F before AM and PM."""

_MARK: Final = re.compile(rf"[{MARKS}]+")
_SPACE: Final = re.compile(rf"[{SPACES}]")
ODD: Final = re.compile(rf"[{MARKS}{SPACES[1:]}]")
"""What `plain` changes, but for composing."""
_FULL_STOPS: Final = ".\u3002\u0964\u06d4 \n"


def without_marks(text: str) -> str:
    """The text without marks of direction."""
    return _MARK.sub("", text)


def plain(text: str) -> str:
    """The text as it is compared: marks away, every space the same, composed. Texts that look the same come out the same, whichever
    platform wrote them."""
    if text.isascii():
        return text
    if ODD.search(text):
        text = _SPACE.sub(" ", _MARK.sub("", text))
    return unicodedata.normalize("NFC", text)


@lru_cache(maxsize=4096)
def folded(text: str) -> str:
    """A phrase of the application's as it is looked up: `plain`, without case and without a final full stop."""
    if text.isascii():
        return text.lower().strip().rstrip(_FULL_STOPS)
    return unicodedata.normalize("NFC", plain(text).casefold()).strip().rstrip(_FULL_STOPS)


def with_ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as ASCII."""
    if text.isascii():
        return text
    return "".join(str(unicodedata.decimal(char, char)) for char in text)


def repaired(text: str) -> str:
    """Text whose lone surrogates stand for bytes that were no UTF-8 (`surrogateescape`): pairs of encoded surrogates become the
    characters they mean, all else is read as Windows-1252, line by line."""
    return "\n".join(line if line.isascii() else _repaired_line(line) for line in text.split("\n"))


def _repaired_line(line: str) -> str:
    try:
        raw = line.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # of a file in UTF-16: half of a pair
        return line.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    try:
        return raw.decode("utf-8", "surrogatepass").encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        # What is UTF-8 in the line stays what it is; only the stray bytes are of another code page.
        return "".join(_of_windows(char) for char in line)


def _of_windows(char: str) -> str:
    return bytes([ord(char) - 0xDC00]).decode("cp1252", "replace") if "\udc80" <= char <= "\udcff" else char
