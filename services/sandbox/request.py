"""A request that has come whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from urllib.parse import parse_qsl

MAX_FIELDS: Final = 200
"""Members of a form."""


class Request:
    """What a handler is given. `path` and `query_string` are as sent, `headers` too: names in the caller's case.

    Of a body beyond the server's limit nothing is kept: `is_too_large`, and `body` is empty.
    """

    __slots__ = ("body", "headers", "is_too_large", "method", "path", "query_string")

    def __init__(self, method: str, target: str, headers: Mapping[bytes, bytes], body: bytes, *, is_too_large: bool) -> None:
        self.method = method
        self.path, _, self.query_string = target.partition("?")
        self.headers = headers
        self.body = body
        self.is_too_large = is_too_large

    def header(self, name: bytes) -> str | None:
        """The value of a header; `name` as clients mostly write it, which is found at once, but any case will do."""
        value = self.headers.get(name)
        if value is None:
            wanted = name.lower()
            value = next((value for other, value in self.headers.items() if other.lower() == wanted), None)
        return None if value is None else value.decode("latin-1")

    @property
    def query(self) -> dict[str, str]:
        """The query's members; of several with one name the last."""
        return dict(parse_qsl(self.query_string, keep_blank_values=True)) if self.query_string else {}

    @property
    def content_type(self) -> str:
        """In lower case, without its parameters; empty where none was sent."""
        return (self.header(b"Content-Type") or "").partition(";")[0].strip().lower()

    def form(self) -> dict[str, str]:
        """The members of a form. Raises ValueError where the body is none, or has too many."""
        return dict(parse_qsl(self.body.decode("utf-8"), errors="strict", keep_blank_values=True, max_num_fields=MAX_FIELDS))
