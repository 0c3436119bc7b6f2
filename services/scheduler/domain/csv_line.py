"""A line of CSV (RFC 4180) that a spreadsheet reads as data, never as a formula."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet may take for the start of a formula (OWASP, CSV injection, read 2026-11)."""
_PHONE: Final = re.compile(r"\+[0-9]{1,15}")
"""A plus sign and digits can be nothing but a number to a spreadsheet, so phone numbers stay as they are: other programs read the
file too. Every other cell with such a start gets an apostrophe before it."""
_QUOTED: Final = re.compile(r'[",\r\n]')


def csv_line(cells: Iterable[str | int | None]) -> bytes:
    """The cells in UTF-8 with a line's end; None is an empty cell."""
    return (",".join(map(_cell, cells)) + "\r\n").encode()


def _cell(value: str | int | None) -> str:
    if value is None:
        return ""
    text = str(value)
    if text.startswith(_FORMULA) and not isinstance(value, int) and not _PHONE.fullmatch(text):
        text = f"'{text}"
    if _QUOTED.search(text):
        text = '"' + text.replace('"', '""') + '"'
    return text
