"""Named SQL: every statement stands in a `queries.sql` under its name, none in Python.

-- name: claim_due
-- Takes a limit; locks the rows it returns; gives the due holds, most urgent first.
SELECT …
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

_HEADER: Final = re.compile(r"^-- name: ([a-z][a-z0-9_]*)\n-- (\S.*)\n", re.MULTILINE)


class Queries(Mapping[str, str]):
    """The statements of one file by name; a missing name is a `KeyError` where the constant is made, at import."""

    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text(encoding="utf-8")
        headers = list(_HEADER.finditer(text))
        if text.count("-- name:") != len(headers):
            raise ValueError(f"{path}: every query needs a name and, on the next line, a description")
        ends = [header.start() for header in headers[1:]] + [len(text)]
        self._texts = {header[1]: text[header.end() : end].strip() for header, end in zip(headers, ends, strict=True)}
        if len(self._texts) != len(headers):
            raise ValueError(f"{path}: two queries share a name")

    def __getitem__(self, name: str) -> str:
        return self._texts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._texts)

    def __len__(self) -> int:
        return len(self._texts)
