"""Groups and their members, in bulk. How many they are is kept by the table itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("groups.sql"))
INSERT_GROUP: Final = sql["insert_group"]
SELECT_GROUP: Final = sql["select_group"]
SELECT_GROUPS: Final = sql["select_groups"]
UPDATE_GROUP: Final = sql["update_group"]
DELETE_ALL_MEMBERS: Final = sql["delete_all_members"]
DELETE_GROUP: Final = sql["delete_group"]
LOCK_CONTACTS: Final = sql["lock_contacts"]
INSERT_MEMBERS: Final = sql["insert_members"]
DELETE_MEMBERS: Final = sql["delete_members"]
SELECT_MEMBERS: Final = sql["select_members"]
SELECT_NAMED: Final = sql["select_groups_named"]
LOCK_NAMES: Final = sql["lock_group_names"]
INSERT_NAMED: Final = sql["insert_groups_named"]
INSERT_JOINING: Final = sql["insert_joining"]


async def insert(
    connection: Connection, tenant_id: TenantId, group_id: str, name: str, description: str | None
) -> asyncpg.Record:
    row = await connection.fetchrow(INSERT_GROUP, tenant_id, group_id, name, description)
    assert row is not None
    return row


async def find(connection: Connection | Pool, tenant_id: TenantId, group_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(SELECT_GROUP, tenant_id, group_id)


async def page(pool: Pool, tenant_id: TenantId, *, after: str | None, limit: int) -> list[asyncpg.Record]:
    return await pool.fetch(SELECT_GROUPS, tenant_id, after or "", limit)


async def update(
    connection: Connection,
    tenant_id: TenantId,
    group_id: str,
    *,
    name: str | None,
    describes: bool,
    description: str | None,
) -> asyncpg.Record | None:
    """The changed group; None where there is none. The description changes, also to None, where `describes`."""
    return await connection.fetchrow(UPDATE_GROUP, tenant_id, group_id, name, describes, description)


async def delete(connection: Connection, tenant_id: TenantId, group_id: str) -> bool:
    await connection.execute(DELETE_ALL_MEMBERS, tenant_id, group_id)
    return bool(await connection.fetchval(DELETE_GROUP, tenant_id, group_id))


async def lock_contacts(
    connection: Connection, tenant_id: TenantId, contact_ids: Sequence[str], phones: Sequence[str]
) -> list[asyncpg.Record]:
    """The contacts of those ids and numbers, each with id and phone; they stay until the transaction ends."""
    return await connection.fetch(LOCK_CONTACTS, tenant_id, contact_ids, phones)


async def add(connection: Connection, tenant_id: TenantId, group_id: str, contact_ids: Sequence[str]) -> int:
    """Make locked contacts members; returns how many were none yet. Raises asyncpg's `ForeignKeyViolationError` where there is no
    such group."""
    return len(await connection.fetch(INSERT_MEMBERS, tenant_id, group_id, contact_ids))


async def remove(
    connection: Connection, tenant_id: TenantId, group_id: str, contact_ids: Sequence[str], phones: Sequence[str]
) -> int:
    """Returns how many of them were members."""
    return len(await connection.fetch(DELETE_MEMBERS, tenant_id, group_id, contact_ids, phones))


async def members(pool: Pool, tenant_id: TenantId, group_id: str, *, after: str | None, limit: int) -> list[asyncpg.Record]:
    return await pool.fetch(SELECT_MEMBERS, tenant_id, group_id, after or "", limit)


async def named(connection: Connection, tenant_id: TenantId, names: Collection[str]) -> dict[str, str]:
    """The oldest group of each name that one has."""
    return {row["name"]: row["id"] for row in await connection.fetch(SELECT_NAMED, tenant_id, names)}


async def lock_names(connection: Connection, tenant_id: TenantId) -> None:
    """Nobody else makes groups by their names until the transaction ends."""
    await connection.execute(LOCK_NAMES, tenant_id)


async def insert_named(connection: Connection, tenant_id: TenantId, groups: Mapping[str, str]) -> None:
    """New groups: names to ids."""
    await connection.execute(INSERT_NAMED, tenant_id, list(groups.values()), list(groups))


async def join(connection: Connection, tenant_id: TenantId, members: Sequence[tuple[str, str]]) -> None:
    """Pairs of a group and a locked contact; who is a member already stays one."""
    await connection.execute(INSERT_JOINING, tenant_id, *zip(*members, strict=True))
