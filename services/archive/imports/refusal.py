"""What an import ends with where the file cannot be taken."""

from __future__ import annotations


class Refused(Exception):
    """The file's fault: `code` is stable, `detail` a sentence for whoever sent it."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
