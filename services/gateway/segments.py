"""Saved filters, read anew whenever they are asked."""

from __future__ import annotations

from typing import Any, Final

import asyncpg
import orjson

from services.gateway.domain.segment import Node, parse
from services.gateway.payloads.groups import ChangeSegment, CreateSegment, SegmentCount, SegmentView
from services.gateway.store import segments as store
from shared.db.pool import Connection, Pool
from shared.errors import FieldError, Rejected
from shared.http.codes import Code
from shared.ids import TenantId, new_id

SHOWN: Final = 10
"""Contacts that a preview names."""


async def create(connection: Connection, tenant_id: TenantId, body: CreateSegment) -> SegmentView:
    """Raises `Rejected` for a filter that cannot be understood."""
    checked(body.filter)
    return view(await store.insert(connection, tenant_id, new_id("seg"), body.name, _json(body.filter)))


async def change(connection: Connection, tenant_id: TenantId, segment_id: str, body: ChangeSegment) -> SegmentView:
    """Raises `Rejected`: 404, and for a filter that cannot be understood."""
    filter_ = None
    if body.filter is not None:
        checked(body.filter)
        filter_ = _json(body.filter)
    row = await store.update(connection, tenant_id, segment_id, body.name, filter_)
    if row is None:
        raise unknown()
    return view(row)


async def preview(
    connection: Connection | Pool, tenant_id: TenantId, filter_: dict[str, Any], *, scanned: int = store.SCANNED
) -> SegmentCount:
    """How many contacts the filter holds for now, and who the first of them are. Raises `Rejected` as `checked` does."""
    node = checked(filter_)
    count = await store.count(connection, tenant_id, node, scanned=scanned)
    first: list[str] = []
    looked_to: str | None = ""
    while looked_to is not None and len(first) < min(SHOWN, count):
        ids, looked_to = await store.matching(
            connection, tenant_id, node, after=looked_to, limit=SHOWN - len(first), scanned=scanned
        )
        first += ids
    return SegmentCount(count=count, contact_ids=first)


def checked(filter_: dict[str, Any], pointer: str = "/filter") -> Node:
    """What the filter means. Raises `Rejected` with the place of its first fault; `pointer` is where the filter stands."""
    node = parse(filter_, pointer)
    if isinstance(node, FieldError):
        raise Rejected(Code.REQUEST_INVALID, f"{node.pointer} {node.detail}.", errors=[node])
    return node


def view(row: asyncpg.Record) -> SegmentView:
    return SegmentView(
        id=row["id"],
        name=row["name"],
        filter=orjson.loads(row["filter"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def unknown() -> Rejected:
    return Rejected("segment.unknown", "There is no such segment.", 404)


def _json(filter_: dict[str, Any]) -> str:
    return orjson.dumps(filter_).decode()
