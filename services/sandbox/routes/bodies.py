"""Bodies of Graph requests: JSON, forms and multipart, all read as if they were JSON."""

from __future__ import annotations

from typing import Any

import orjson

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.members import decoded
from services.sandbox.multipart import parts_of
from services.sandbox.request import Request


def decode(request: Request) -> object:
    """The body as JSON would give it; members of a form or of multipart may be JSON text. Raises `GraphError`."""
    raw = request.body
    if raw[:1] != b"{":
        match request.content_type:
            case "application/x-www-form-urlencoded":
                return _form(request)
            case "multipart/form-data":
                return _multipart(raw, request.header(b"Content-Type") or "")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise GraphError(100, "The body is not valid JSON in UTF-8.") from None


def members_of(request: Request) -> dict[str, Any]:
    """What a call says in its query and its body, which may be empty; of two with one name the body's. Raises `GraphError`."""
    told: dict[str, Any] = {name: value for name, value in request.query.items() if name != "access_token"}
    if request.body:
        body = decode(request)
        if not isinstance(body, dict):
            raise GraphError(100, "The body must be a JSON object.")
        told |= body
    return {name: _opened(value) for name, value in told.items() if value is not None}


def _opened(value: Any) -> Any:
    """An object or array that came as JSON text."""
    return decoded(value) if isinstance(value, str) and value[:1] in ("{", "[") else value


def _form(request: Request) -> dict[str, str]:
    try:
        return request.form()
    except ValueError:
        raise GraphError(100, "The body is not a valid form in UTF-8.") from None


def _multipart(raw: bytes, content_type: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for part in parts_of(raw, content_type):
        try:
            fields[part.name] = part.content.decode("utf-8")
        except UnicodeDecodeError:
            raise GraphError(100, f"The part '{part.name[:64]}' is not UTF-8.") from None
    return fields
