"""Answers kept under the callers' keys."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
CLAIM_KEY: Final = sql["claim_key"]
STORE_ANSWER: Final = sql["store_answer"]
SELECT_ANSWER: Final = sql["select_answer"]


async def claim(connection: Connection, tenant_id: TenantId, route: str, key: str, fingerprint: bytes) -> bool:
    """True where the key is new. Waits for a request with the same key that is being served."""
    return bool(await connection.fetchval(CLAIM_KEY, tenant_id, route, key, fingerprint))


async def store(connection: Connection, tenant_id: TenantId, route: str, key: str, status: int, answer: bytes) -> None:
    """Keep the answer of a claimed key."""
    await connection.execute(STORE_ANSWER, tenant_id, route, key, status, answer)


async def find(connection: Connection, tenant_id: TenantId, route: str, key: str) -> asyncpg.Record | None:
    """Fingerprint, status and answer."""
    return await connection.fetchrow(SELECT_ANSWER, tenant_id, route, key)
