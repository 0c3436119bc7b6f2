"""Operators' keys, and what was done with them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import asyncpg
import orjson

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("operators.sql"))
INSERT_ADMIN_KEY: Final = sql["insert_admin_key"]
SELECT_ADMIN_KEY: Final = sql["select_admin_key"]
SELECT_ADMIN_KEYS: Final = sql["select_admin_keys"]
REVOKE_ADMIN_KEY: Final = sql["revoke_admin_key"]
INSERT_ADMIN_ACTION: Final = sql["insert_admin_action"]
SELECT_ADMIN_ACTIONS: Final = sql["select_admin_actions"]
LOCK_LETTERS: Final = sql["lock_letters"]
UNLOCK_LETTERS: Final = sql["unlock_letters"]
SELECT_ANY_NUMBER: Final = sql["select_any_number"]
SELECT_ALL_NUMBERS: Final = sql["select_all_numbers"]


async def insert_key(connection: Connection, key_id: str, name: str, digest: bytes) -> bool:
    """A key by its id and digest; False where it was there already."""
    return await connection.fetchval(INSERT_ADMIN_KEY, key_id, name, digest) is not None


async def find_key(pool: Pool, key_id: str) -> asyncpg.Record | None:
    """Name and digest of a key that is not revoked."""
    return await pool.fetchrow(SELECT_ADMIN_KEY, key_id)


async def keys(connection: Connection) -> list[asyncpg.Record]:
    """All there ever were, oldest first."""
    return await connection.fetch(SELECT_ADMIN_KEYS)


async def revoke_key(connection: Connection, key_id: str) -> str | None:
    """End a key; the name on it, or None where there was none to end."""
    found: str | None = await connection.fetchval(REVOKE_ADMIN_KEY, key_id)
    return found


async def note(
    connection: Connection | Pool,
    *,
    key_id: str | None,
    operator: str,
    action: str,
    subject: str,
    facts: Mapping[str, object],
    request_id: str | None,
) -> None:
    """Add a line to the audit."""
    await connection.execute(INSERT_ADMIN_ACTION, key_id, operator, action, subject, orjson.dumps(facts).decode(), request_id)


async def actions(pool: Pool, *, before: int, limit: int) -> list[asyncpg.Record]:
    """The audit, newest first."""
    return await pool.fetch(SELECT_ADMIN_ACTIONS, before, limit)


async def lock_letters(connection: Connection) -> None:
    """Raises `asyncpg.LockNotAvailableError` where it is not to be had in time."""
    await connection.execute(LOCK_LETTERS)


async def unlock_letters(connection: Connection) -> None:
    """Where the connection is gone, so is the lock."""
    if not connection.is_closed():
        await connection.execute(UNLOCK_LETTERS)


async def tenant_of_number(connection: Connection, number_id: str) -> TenantId | None:
    """Whose number it is."""
    found: str | None = await connection.fetchval(SELECT_ANY_NUMBER, number_id)
    return None if found is None else TenantId(found)


async def numbers(pool: Pool, *, after: tuple[bool, str] | None, limit: int) -> list[asyncpg.Record]:
    """Of all tenants, the paused ones first; `after` is whether one is active, and its id."""
    is_active, number_id = after or (False, "")
    return await pool.fetch(SELECT_ALL_NUMBERS, is_active, number_id, limit)
