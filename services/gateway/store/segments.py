"""Saved filters, and the contacts that a filter holds for."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg

from services.gateway.domain.segment import Node
from services.gateway.store.conditions import with_condition
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("segments.sql"))
INSERT_SEGMENT: Final = sql["insert_segment"]
SELECT_SEGMENT: Final = sql["select_segment"]
SELECT_SEGMENTS: Final = sql["select_segments"]
UPDATE_SEGMENT: Final = sql["update_segment"]
DELETE_SEGMENT: Final = sql["delete_segment"]
SELECT_MATCHING: Final = sql["select_matching"]
COUNT_MATCHING: Final = sql["count_matching"]

SCANNED: Final = 50_000
"""Contacts that one statement looks at: a filter that holds for few of millions must not run into the role's statement_timeout."""


async def insert(connection: Connection, tenant_id: TenantId, segment_id: str, name: str, filter_json: str) -> asyncpg.Record:
    row = await connection.fetchrow(INSERT_SEGMENT, tenant_id, segment_id, name, filter_json)
    assert row is not None
    return row


async def find(connection: Connection | Pool, tenant_id: TenantId, segment_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(SELECT_SEGMENT, tenant_id, segment_id)


async def page(pool: Pool, tenant_id: TenantId, *, after: str | None, limit: int) -> list[asyncpg.Record]:
    return await pool.fetch(SELECT_SEGMENTS, tenant_id, after or "", limit)


async def update(
    connection: Connection, tenant_id: TenantId, segment_id: str, name: str | None, filter_json: str | None
) -> asyncpg.Record | None:
    """The changed segment; None where there is none. What is None stays as it is."""
    return await connection.fetchrow(UPDATE_SEGMENT, tenant_id, segment_id, name, filter_json)


async def delete(connection: Connection, tenant_id: TenantId, segment_id: str) -> bool:
    return bool(await connection.fetchval(DELETE_SEGMENT, tenant_id, segment_id))


async def matching(
    connection: Connection | Pool, tenant_id: TenantId, node: Node, *, after: str, limit: int, scanned: int = SCANNED
) -> tuple[list[str], str | None]:
    """Ids of the first contacts after `after` that the filter holds for, and how far was looked; None: to the end, or until there
    were `limit` of them."""
    query, arguments = with_condition(SELECT_MATCHING, node, tenant_id, after, scanned, limit)
    row = await connection.fetchrow(query, *arguments)
    assert row is not None
    return row["ids"], row["looked_to"]


async def count(connection: Connection | Pool, tenant_id: TenantId, node: Node, *, scanned: int = SCANNED) -> int:
    """For how many of the tenant's contacts the filter holds."""
    total: int = 0
    last = ""
    while True:
        query, arguments = with_condition(COUNT_MATCHING, node, tenant_id, last, scanned)
        row = await connection.fetchrow(query, *arguments)
        assert row is not None
        total += row["matching"]
        if row["looked_at"] < scanned:
            return total
        last = row["last"]
