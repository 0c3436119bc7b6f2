"""Answers: a model or plain JSON values to bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson
from aiohttp import web
from pydantic import BaseModel

_OPTIONS: Final = orjson.OPT_UTC_Z


def json_response(
    body: BaseModel | Mapping[str, Any] | Sequence[Any], status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A JSON answer. Fields of models stand under their alias, those that are None are left out; times are RFC 3339, UTC as `Z`."""
    return web.Response(body=json_bytes(body), status=status, content_type="application/json", headers=headers)


def json_bytes(body: BaseModel | Mapping[str, Any] | Sequence[Any]) -> bytes:
    """What `json_response` sends; stored answers are replayed from it."""
    if isinstance(body, BaseModel):
        return body.__pydantic_serializer__.to_json(body, exclude_none=True, by_alias=True)
    return orjson.dumps(body, default=_plain, option=_OPTIONS)


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True, by_alias=True)
    raise TypeError
