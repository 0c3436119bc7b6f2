"""An export as CSV: a row an entry, for spreadsheets.

A cell that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, CSV injection, read 2026-11): what people
wrote must not run on the machine of who reads it.
"""

from __future__ import annotations

import re
from typing import Final

from services.archive.domain.exported import ExportedEntry

COLUMNS: Final = (
    "conversation", "conversation_id", "sent_at", "author", "address", "direction", "type", "text", "file", "status", "edited_at",
    "entry_id", "message_id",
)  # fmt: skip
_FORMULA: Final = frozenset("=+-@\t\r\n|%\uff1d\uff0b\uff0d\uff20")
"""First characters of formulas, the full-width ones too, which spreadsheets of East Asia read alike."""
_SPECIAL: Final = re.compile("[,\"\r\n]|^[ ']")
_HIDDEN: Final = " \u00a0\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff"


class CsvForm:
    """Writes rows: RFC 4180, UTF-8 with a byte order mark, without which Excel reads another encoding."""

    head = b"\xef\xbb\xbf" + ",".join(COLUMNS).encode() + b"\r\n"

    def entry(self, entry: ExportedEntry) -> bytes:
        """Its row."""
        cells = (
            _text(entry.conversation),
            entry.conversation_id,
            entry.local.isoformat(timespec="seconds"),
            _text(entry.author),
            _text(entry.address or ""),
            entry.direction.value,
            _text(entry.type),
            _text(entry.body),
            _text(entry.file or ""),
            entry.status or "",
            "" if entry.edited_at is None else entry.edited_at.isoformat(timespec="seconds"),
            entry.id,
            entry.message_id or "",
        )
        return (",".join([_quoted(cell) for cell in cells]) + "\r\n").encode(errors="replace")


def _text(value: str) -> str:
    """A text that no spreadsheet calculates."""
    shown = value.lstrip(_HIDDEN)
    return f"'{value}" if shown and shown[0] in _FORMULA else value


def _quoted(cell: str) -> str:
    return '"' + cell.replace('"', '""') + '"' if _SPECIAL.search(cell) else cell
