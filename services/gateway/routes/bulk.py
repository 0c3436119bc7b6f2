"""Bodies of many items: a JSON array, or one item a line. An item with a fault costs itself only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, RootModel

from shared.errors import FieldError, Rejected
from shared.http.codes import Code
from shared.http.requests import validate
from shared.http.routes import NDJSON

M = TypeVar("M", bound=BaseModel)


def read_items(
    request: web.Request, data: bytes, whole: type[RootModel[list[M]]], item: type[M], *, limit: int, item_bytes: int
) -> Sequence[M | list[FieldError]]:
    """The items, each with its faults where it has any. A body without fault is checked in one pass.

    Raises `Rejected`: 400 for a broken array, 413 for more than `limit`, 422 for none. An item on a line of its own may have
    `item_bytes`; within an array the model's own limits hold.
    """
    items: list[bytes] | None = None
    if request.content_type == NDJSON:
        items = [line for line in data.split(b"\n") if line.strip()]
        data = b"[" + b",".join(items) + b"]"
    if items is None or all(len(line) <= item_bytes for line in items):
        try:
            read = validate(whole, data).root
        except Rejected:
            items = _array_items(data, limit) if items is None else items
            if items is None:
                raise
        else:
            if items is None or len(read) == len(items):  # a line can smuggle a second item in: "{},{}"
                return read
    if not items:
        raise Rejected("batch.empty", "A batch holds at least one item.", 422)
    if len(items) > limit:
        raise _too_many(limit)
    return [_item_or_faults(one, item, f"/{index}", item_bytes) for index, one in enumerate(items)]


def _array_items(data: bytes, limit: int) -> list[bytes] | None:
    """The items of a JSON array, each in its shortest form; None where it is no array. Raises `Rejected` for more than `limit`: it
    would spell millions out."""
    try:
        values = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(values, list):
        return None
    if len(values) > limit:
        raise _too_many(limit)
    return [orjson.dumps(value) for value in values]


def _too_many(limit: int) -> Rejected:
    return Rejected("batch.too_large", f"A batch holds {limit} items at most.", 413)


def _item_or_faults(data: bytes, model: type[M], pointer: str, item_bytes: int) -> M | list[FieldError]:
    if len(data) > item_bytes:
        return [FieldError(pointer, Code.BODY_TOO_LARGE, f"is over the limit of {item_bytes} bytes for one item")]
    try:
        return validate(model, data, pointer)
    except Rejected as error:
        return list(error.errors) or [FieldError(pointer, error.code, error.detail)]
