"""Lists in Meta's manner: a page, cursors around it, and the addresses of the pages beside it."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from services.sandbox.domain.errors import GraphError, unknown_field
from services.sandbox.request import Request

DEFAULT_PAGE: Final = 25
MAX_PAGE: Final = 1000


def fields_of(query: Mapping[str, str], known: Collection[str], node: str) -> list[str]:
    """The fields asked for. Raises `GraphError` for one that the node does not have. What is asked of a field is left aside."""
    fields = [name for name in (field.partition(".")[0].strip() for field in query.get("fields", "").split(",")) if name]
    for name in fields:
        if name not in known:
            raise unknown_field(name[:64], node)
    return fields


def page_of(request: Request, found: Sequence[dict[str, Any]], fields: Sequence[str]) -> dict[str, Any]:
    """`?limit=&after=&before=` of what was found, each with its id and the fields asked for. Raises `GraphError`."""
    query = request.query
    limit = _limit(query.get("limit"))
    start = 0 if "after" not in query else _place(query["after"]) + 1
    if "before" in query:
        start = max(0, _place(query["before"]) - limit)
    page = found[start : start + limit]
    if not page:
        return {"data": []}
    shown = [{field: item[field] for field in (*fields, "id") if field in item} if fields else item for item in page]
    cursors = {"before": _cursor(start), "after": _cursor(start + len(page) - 1)}
    paging: dict[str, Any] = {"cursors": cursors}
    for name, cursor, is_there in (
        ("next", {"after": cursors["after"]}, start + limit < len(found)),
        ("previous", {"before": cursors["before"]}, start > 0),
    ):
        if is_there:
            rest = {key: value for key, value in query.items() if key not in ("after", "before")}
            host = request.header(b"Host") or "127.0.0.1"
            paging[name] = f"http://{host}{request.path}?{urlencode({**rest, **cursor})}"
    return {"data": shown, "paging": paging}


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) >= 1):
        raise GraphError(100, "Param limit must be a positive integer.")
    return min(int(text), MAX_PAGE)


def _cursor(place: int) -> str:
    return base64.urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def _place(cursor: str) -> int:
    """Where a cursor stands. Raises `GraphError` for one that no page has given."""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        if text.isdigit() and len(text) < 10:
            return int(text)
    except ValueError:
        pass
    raise GraphError(100, "The cursor is not one that this list has given.")
