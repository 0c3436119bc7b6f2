"""How far conversations were read."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("marking.sql"))
LOCK_CONVERSATION: Final = sql["lock_conversation"]
MARK_READ: Final = sql["mark_read"]


class Mark(NamedTuple):
    """Everything up to `read_until` was read; so many incoming entries were not."""

    read_until: datetime
    unread_count: int


async def mark_read(connection: Connection, tenant: TenantId, conversation_id: str, until: datetime | None) -> Mark | None:
    """Mark entries up to a moment as read, all of them without one; None where the tenant has no such conversation. Within the
    caller's transaction."""
    await connection.execute(LOCK_CONVERSATION, tenant, conversation_id)
    row = await connection.fetchrow(MARK_READ, tenant, conversation_id, until)
    return Mark(*row) if row else None
