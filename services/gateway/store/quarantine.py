"""Payloads that are set aside, as their tenant looks through them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg

from services.gateway.store.webhooks import whole
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("quarantine.sql"))
SELECT_QUARANTINED: Final = sql["select_quarantined"]
SELECT_QUARANTINED_ONE: Final = sql["select_quarantined_one"]
REPLAY_ONE: Final = sql["replay_one"]
REPLAY_OLDEST: Final = sql["replay_oldest"]
DELETE_QUARANTINED: Final = sql["delete_quarantined"]


async def page(pool: Pool, tenant_id: TenantId, *, before: int, limit: int) -> list[asyncpg.Record]:
    """What is set aside, newest first, without bodies."""
    return await pool.fetch(SELECT_QUARANTINED, tenant_id, before, limit)


async def find(pool: Pool, tenant_id: TenantId, webhook_id: int) -> tuple[asyncpg.Record, bytes] | None:
    """One, and its body as it came."""
    row = await pool.fetchrow(SELECT_QUARANTINED_ONE, tenant_id, webhook_id)
    return None if row is None else (row, whole(row["body"], row["length"]))


async def replay(connection: Connection, tenant_id: TenantId, webhook_id: int) -> bool:
    """Let it be read again; False where it is not set aside."""
    return _count(await connection.execute(REPLAY_ONE, tenant_id, webhook_id)) == 1


async def replay_oldest(connection: Connection, tenant_id: TenantId, *, after: int, limit: int) -> list[int]:
    """Let so many be read again, the oldest after that id first; returns their ids."""
    return [row["id"] for row in await connection.fetch(REPLAY_OLDEST, tenant_id, after, limit)]


async def delete(pool: Pool, tenant_id: TenantId, webhook_id: int) -> bool:
    """Forget it; False where it is not set aside."""
    return _count(await pool.execute(DELETE_QUARANTINED, tenant_id, webhook_id)) == 1


def _count(answer: str) -> int:
    return int(answer.rpartition(" ")[2])
