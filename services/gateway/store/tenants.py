"""Tenants and their API keys."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_TENANT: Final = sql["insert_tenant"]
SELECT_TENANT_BY_NAME: Final = sql["select_tenant_by_name"]
INSERT_KEY: Final = sql["insert_key"]
SELECT_KEY: Final = sql["select_key"]
REVOKE_KEY: Final = sql["revoke_key"]


async def insert(connection: Connection, tenant_id: TenantId, name: str) -> None:
    """A new tenant."""
    await connection.execute(INSERT_TENANT, tenant_id, name)


async def by_name(connection: Connection, name: str) -> TenantId | None:
    """The oldest tenant of that name."""
    found = await connection.fetchval(SELECT_TENANT_BY_NAME, name)
    return None if found is None else TenantId(found)


async def insert_key(connection: Connection, key_id: str, tenant_id: TenantId, *, live: bool, digest: bytes) -> None:
    """A key by its id and digest; there already is fine."""
    await connection.execute(INSERT_KEY, key_id, tenant_id, live, digest)


async def find_key(pool: Pool, key_id: str) -> asyncpg.Record | None:
    """Tenant and digest of a key that is not revoked."""
    return await pool.fetchrow(SELECT_KEY, key_id)


async def revoke_key(connection: Connection, key_id: str) -> bool:
    """End a key; True where there was one to end."""
    return (await connection.execute(REVOKE_KEY, key_id)).endswith(" 1")
