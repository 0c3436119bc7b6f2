"""Cursors of lists that go by more than an id: the key of a page's last row, spelled so that nobody is tempted to make one."""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.errors import Rejected
from shared.http.faults import text_fault


def encoded(*key: str | int | datetime) -> str:
    """A cursor for the rows after this key."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode().rstrip("=")


def decoded(cursor: str, *kinds: type[str | int | datetime]) -> list[Any]:
    """The key, whose parts are of these kinds. Raises `Rejected` 400 for a text that `encoded` has not made."""
    try:
        key = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if not isinstance(key, list):
            raise TypeError
        return [_part(value, kind) for value, kind in zip(key, kinds, strict=True)]
    except (binascii.Error, ValueError, TypeError, OverflowError):
        raise Rejected("cursor.invalid", "The cursor is not one that this list has given.", 400) from None


def _part(value: Any, kind: type[str | int | datetime]) -> str | int | datetime:
    if kind is int:
        if type(value) is int and abs(value) < 2**31:
            return value
    elif isinstance(value, str) and text_fault(value) is None:
        return datetime.fromisoformat(value).astimezone(UTC) if kind is datetime else value
    raise TypeError
