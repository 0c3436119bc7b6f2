"""Who is in an audience: groups, contacts and phone numbers to rows of contacts, a page at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("audience.sql"))
SELECT_UNKNOWN: Final = sql["select_unknown"]
SELECT_WANTED: Final = sql["select_wanted"]
SELECT_BY_PHONE: Final = sql["select_by_phone"]

AFTER_ALL: Final = "~"
"""Greater than every id."""


async def unknown(
    connection: Connection, tenant_id: TenantId, group_ids: Sequence[str], contact_ids: Sequence[str]
) -> tuple[str | None, str | None]:
    """One of the groups and one of the contacts that the tenant does not have."""
    row = await connection.fetchrow(SELECT_UNKNOWN, tenant_id, group_ids, contact_ids)
    assert row is not None
    return row["group_id"], row["contact_id"]


async def wanted(
    connection: Connection,
    tenant_id: TenantId,
    *,
    after: str,
    until: str | None,
    group_ids: Sequence[str],
    contact_ids: Sequence[str],
    limit: int,
) -> list[asyncpg.Record]:
    """The first `limit` of the groups' members and of `contact_ids`, which lie between `after` and `until`, by id."""
    return await connection.fetch(SELECT_WANTED, tenant_id, after, until or AFTER_ALL, group_ids, contact_ids, limit)


async def by_phone(connection: Connection, tenant_id: TenantId, phones: Sequence[str]) -> list[asyncpg.Record]:
    """The contacts that have these numbers."""
    return await connection.fetch(SELECT_BY_PHONE, tenant_id, phones)
