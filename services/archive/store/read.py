"""Reading: pages of conversations, entries and matches, each for one tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg
import orjson

from services.archive.domain.entry import Direction
from services.archive.domain.progress import EntryStatus
from services.archive.domain.reading import ArchivedEntry, Conversation, FoundEntry, Place, as_revoked
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
CONVERSATIONS_PAGE: Final = sql["conversations_page"]
CONVERSATION: Final = sql["conversation"]
ENTRIES_PAGE: Final = sql["entries_page"]
SEARCH: Final = sql["search"]


async def conversations(connection: Connection | Pool, tenant: TenantId, after: Place, limit: int) -> list[Conversation]:
    """The tenant's conversations, the one with the newest entry first."""
    return [_conversation(row) for row in await connection.fetch(CONVERSATIONS_PAGE, tenant, after.at, after.id, limit)]


async def conversation(connection: Connection | Pool, tenant: TenantId, conversation_id: str) -> Conversation | None:
    """The conversation, or None where the tenant has no such one."""
    row = await connection.fetchrow(CONVERSATION, tenant, conversation_id)
    return _conversation(row) if row else None


async def entries(
    connection: Connection | Pool, tenant: TenantId, conversation_id: str, after: Place, limit: int
) -> list[ArchivedEntry]:
    """The conversation's entries, newest first."""
    rows = await connection.fetch(ENTRIES_PAGE, tenant, conversation_id, after.at, after.id, limit)
    return [_entry(row) for row in rows]


async def search(connection: Connection | Pool, tenant: TenantId, tsquery: str, after: Place, limit: int) -> list[FoundEntry]:
    """Entries of all the tenant's conversations that hold all terms of `tsquery`, newest first."""
    rows = await connection.fetch(SEARCH, tenant, tsquery, after.at, after.id, limit)
    return [
        FoundEntry(
            id=row["id"],
            sent_at=row["sent_at"],
            conversation_id=row["conversation_id"],
            direction=Direction(row["direction"]),
            type=row["type"],
            body=row["body"],
        )
        for row in rows
    ]


def _entry(row: asyncpg.Record) -> ArchivedEntry:
    entry = ArchivedEntry(
        id=row["id"],
        sent_at=row["sent_at"],
        conversation_id=row["conversation_id"],
        direction=Direction(row["direction"]),
        type=row["type"],
        content=orjson.loads(row["content"]),
        message_id=row["message_id"],
        wamid=row["wamid"],
        status=EntryStatus(row["status"]) if row["status"] else None,
        status_at=row["status_at"],
        error_code=row["error_code"],
        edited_at=row["edited_at"],
        revoked_at=row["revoked_at"],
        media=orjson.loads(row["media"]) if row["media"] else None,
    )
    return entry if entry.revoked_at is None else as_revoked(entry)


def _conversation(row: asyncpg.Record) -> Conversation:
    return Conversation(
        id=row["id"],
        number_id=row["number_id"],
        contact_phone=row["contact_phone"],
        contact_name=row["contact_name"],
        entry_count=row["entry_count"],
        unread_count=row["unread_count"],
        last_entry_at=row["last_entry_at"],
        last_entry_id=row["last_entry_id"],
        last_direction=Direction(row["last_direction"]),
        last_type=row["last_type"],
        last_preview=row["last_preview"],
    )
