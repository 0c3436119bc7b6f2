"""Text in blocks to the headers in it: what the survey and the reader have in common."""

from __future__ import annotations

from typing import Final

from services.archive.chat_export.encoding import decoded, encoded, parts_in, whole_units
from services.archive.chat_export.names import author_pattern
from services.archive.chat_export.shapes import Shape

MAX_RECORD_CHARS: Final = 1 << 18
"""Four times the longest message of WhatsApp. What is longer is cut, so that memory is bounded whatever the file."""


def header_pattern(shape: Shape, *, line_end: str, with_colons: tuple[str, ...] = ()) -> str:
    """A regular expression of a line's end and the header after it: two groups for date and time, one for the author. It begins
    with a literal, which is what makes searching for it fast."""
    return f"{line_end}{shape.pattern()}{author_pattern(shape, with_colons)}"


class Unread:
    """The bytes that have come and are not read yet, as text. Bytes and text always are the same: `encoded` undoes `decoded`."""

    def __init__(self, encoding: str) -> None:
        self.encoding = encoding
        """Of the first of these bytes: it changes within files that were joined."""
        self._left = b""
        self._parts: list[tuple[int, str]] = []
        self.is_clean = True
        """Whether the text of the last block was all of the encoding."""

    @property
    def size_bytes(self) -> int:
        return len(self._left)

    def with_block(self, block: bytes) -> str:
        """The text of what is left and of the block. `keep` then says what of it is left."""
        data = self._left + block if self._left else block
        self._parts, self.is_clean, texts = [], True, []
        for part, encoding in parts_in(data, self.encoding):
            whole = whole_units(part, encoding)
            self._left = part[whole:]
            text, is_clean = decoded(part[:whole], encoding)
            self.is_clean &= is_clean
            self._parts.append((len(text), encoding))
            texts.append(text)
        return "".join(texts)

    def keep(self, text: str, *, passed_over: int = 0) -> None:
        """The end of the text that `with_block` gave: it is to be read again with the next block. So many characters behind it are
        not."""
        end = sum(length for length, _ in self._parts) - passed_over
        start, at, raw = end - len(text), 0, b""
        self.encoding = self._parts[-1][1]
        for length, encoding in self._parts:
            low, high = max(start, at), min(end, at + length)
            if low < high:
                self.encoding = self.encoding if raw else encoding
                raw += encoded(text[low - start : high - start], encoding)
            at += length
        self._left = raw + self._left
