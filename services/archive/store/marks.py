"""Bookmarks: one an entry, for the whole tenant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from services.archive.domain.reading import Place
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("marks.sql"))
PUT_BOOKMARK: Final = sql["put_bookmark"]
BOOKMARK: Final = sql["bookmark"]
DELETE_BOOKMARK: Final = sql["delete_bookmark"]
BOOKMARKS_PAGE: Final = sql["bookmarks_page"]
BOOKMARKS_OF_CONVERSATION_PAGE: Final = sql["bookmarks_of_conversation_page"]


async def put(
    connection: Connection | Pool, new_id: str, tenant: TenantId, entry_id: str, note: str, created_by: str | None
) -> asyncpg.Record | None:
    """The bookmark as it is now, `is_new` or changed; None where there is no such entry. Twice is safe."""
    return await connection.fetchrow(PUT_BOOKMARK, new_id, tenant, entry_id, note, created_by)


async def find(pool: Pool, tenant: TenantId, entry_id: str) -> asyncpg.Record | None:
    return await pool.fetchrow(BOOKMARK, tenant, entry_id)


async def delete(pool: Pool, tenant: TenantId, entry_id: str) -> str | None:
    """The conversation of the entry; None where it had no bookmark."""
    conversation_id: str | None = await pool.fetchval(DELETE_BOOKMARK, tenant, entry_id)
    return conversation_id


async def page(
    pool: Pool, tenant_no: int, after: Place, limit: int, conversation_id: str | None = None
) -> Sequence[asyncpg.Record]:
    """Of the tenant, or of one conversation, the newest bookmark first."""
    if conversation_id is None:
        return await pool.fetch(BOOKMARKS_PAGE, tenant_no, after.at, after.id, limit)
    return await pool.fetch(BOOKMARKS_OF_CONVERSATION_PAGE, tenant_no, after.at, after.id, limit, conversation_id)
