"""Exports: their rows, and the entries that go into them, which come by cursors on the server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

PREFETCH: Final = 1_000
"""Rows a step of a cursor brings."""

BLOCK_SECONDS: Final = 60.0
"""`read_on` allows as much on the server."""

sql = Queries(Path(__file__).with_name("exports.sql"))
READ_ON: Final = sql["read_on"]
EXPORTED_CONVERSATION: Final = sql["exported_conversation"]
EXPORTED_CONVERSATIONS: Final = sql["exported_conversations"]
EXPORTED_ENTRIES: Final = sql["exported_entries"]
NEXT_FOUND_MONTH: Final = sql["next_found_month"]
EXPORTED_FOUND: Final = sql["exported_found"]
CREATE_EXPORT: Final = sql["create_export"]
EXPORTS_PAGE: Final = sql["exports_page"]
EXPORT: Final = sql["export"]
CANCEL_EXPORT: Final = sql["cancel_export"]
DELETE_EXPORT: Final = sql["delete_export"]
CLAIM_EXPORT: Final = sql["claim_export"]
EXTEND_EXPORT: Final = sql["extend_export"]
COMPLETE_EXPORT: Final = sql["complete_export"]
RELEASE_EXPORT: Final = sql["release_export"]
LEAVE_EXPORT: Final = sql["leave_export"]
FAIL_EXPORT: Final = sql["fail_export"]
EXPIRE_EXPORTS: Final = sql["expire_exports"]
EXPORTS_TO_CLEAR: Final = sql["exports_to_clear"]
CLEAR_EXPORTS: Final = sql["clear_exports"]
PRUNE_EXPORTS: Final = sql["prune_exports"]
DELETE_EXPORTS_WITH: Final = sql["delete_exports_with"]


class Narrowed(NamedTuple):
    """What narrows a search; None narrows nothing."""

    conversation_no: int | None
    is_outgoing: bool | None
    type: str | None
    label: str | None
    author_no: int | None


class Progress(NamedTuple):
    """What an export has so far."""

    entries: int
    media: int
    media_missing: int
    size_bytes: int


@asynccontextmanager
async def snapshot(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that sees the archive as it is now for as long as it is held."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.fetch(READ_ON)
        yield connection


async def conversation(connection: Connection | Pool, tenant: TenantId, conversation_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(EXPORTED_CONVERSATION, tenant, conversation_id)


def conversations(connection: Connection, tenant: TenantId) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """All of them, in blocks; within a snapshot."""
    return _blocks(connection, EXPORTED_CONVERSATIONS, tenant)


def entries(
    connection: Connection, conversation_id: str, since: datetime, until: datetime
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """A conversation's entries, in blocks; within a snapshot."""
    return _blocks(connection, EXPORTED_ENTRIES, conversation_id, since, until)


async def next_found(connection: Connection, tenant_no: int, since: datetime) -> datetime | None:
    """The first moment from `since` on of which the tenant has something."""
    found: datetime | None = await connection.fetchval(NEXT_FOUND_MONTH, tenant_no, since)
    return found


def found(
    connection: Connection, tenant_no: int, tsquery: str, since: datetime, until: datetime, narrowed: Narrowed
) -> AsyncIterator[Sequence[asyncpg.Record]]:
    """What a search finds in a month, in blocks; within a snapshot."""
    return _blocks(connection, EXPORTED_FOUND, tenant_no, tsquery, since, until, *narrowed)


async def _blocks(connection: Connection, query: str, *given: Any) -> AsyncIterator[Sequence[asyncpg.Record]]:
    cursor = await connection.cursor(query, *given)
    while block := await cursor.fetch(PREFETCH, timeout=BLOCK_SECONDS):
        yield block


async def create(
    connection: Connection,
    export_id: str,
    tenant: TenantId,
    created_by: str | None,
    form: str,
    scope: dict[str, Any],
    *,
    most_open: int,
) -> asyncpg.Record | None:
    """The new row; None where the tenant has too many that are not done."""
    return await connection.fetchrow(
        CREATE_EXPORT, export_id, tenant, created_by, form, orjson.dumps(scope).decode(), most_open
    )


async def page(pool: Pool, tenant: TenantId, before: str, limit: int) -> Sequence[asyncpg.Record]:
    return await pool.fetch(EXPORTS_PAGE, tenant, before, limit)


async def find(connection: Connection | Pool, tenant: TenantId, export_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(EXPORT, tenant, export_id)


async def cancel(connection: Connection, tenant: TenantId, export_id: str) -> asyncpg.Record | None:
    """End one that is not done; as it is then. None where there is none."""
    return await connection.fetchrow(CANCEL_EXPORT, tenant, export_id)


async def delete(pool: Pool, tenant: TenantId, export_id: str) -> bool:
    """Hide it at once; its file goes later."""
    return await pool.fetchval(DELETE_EXPORT, tenant, export_id) is not None


async def claim(pool: Pool, *, lease_seconds: float) -> asyncpg.Record | None:
    """An export to work on."""
    return await pool.fetchrow(CLAIM_EXPORT, lease_seconds)


async def extend(pool: Pool, export_id: str, run: int, progress: Progress, *, lease_seconds: float) -> bool:
    """Keep it; False where it was taken away or ended."""
    return await pool.fetchval(EXTEND_EXPORT, export_id, run, lease_seconds, *progress) is not None


async def complete(
    pool: Pool, export_id: str, run: int, days: int, progress: Progress, sha256: str, mime_type: str, file_name: str
) -> bool:
    """Done; False where it was taken away or ended."""
    return await pool.fetchval(COMPLETE_EXPORT, export_id, run, days, *progress, sha256, mime_type, file_name) is not None


async def release(pool: Pool, export_id: str, run: int) -> None:
    """Let another worker begin it again."""
    await pool.execute(RELEASE_EXPORT, export_id, run)


async def leave(pool: Pool, export_id: str, run: int) -> None:
    """Others have ended it, and nothing is written to its file any more."""
    await pool.execute(LEAVE_EXPORT, export_id, run)


async def fail(pool: Pool, export_id: str, run: int, code: str) -> None:
    """It cannot be done."""
    await pool.execute(FAIL_EXPORT, export_id, run, code)


async def expire(pool: Pool, *, limit: int) -> int:
    """End those whose time is over; how many."""
    count: int = await pool.fetchval(EXPIRE_EXPORTS, limit)
    return count


async def to_clear(pool: Pool, *, limit: int) -> Sequence[asyncpg.Record]:
    """Files that nobody may read any more: `id`, `object_key`, `run`."""
    return await pool.fetch(EXPORTS_TO_CLEAR, limit)


async def cleared(pool: Pool, ids: Sequence[str]) -> None:
    """Their files are gone."""
    await pool.execute(CLEAR_EXPORTS, ids)


async def prune(pool: Pool, *, days: int, limit: int) -> int:
    """Forget those that ended long ago; how many."""
    count: int = await pool.fetchval(PRUNE_EXPORTS, days, limit)
    return count


async def delete_with(connection: Connection, tenant: TenantId, conversation_ids: Sequence[str]) -> list[str]:
    """Delete every export that can hold something of these conversations, one at least; their ids. Files go later, by the job that
    clears them."""
    rows = await connection.fetch(DELETE_EXPORTS_WITH, tenant, conversation_ids)
    return [row["id"] for row in rows]
