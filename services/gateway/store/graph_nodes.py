"""Numbers as nodes of the provider's graph: by phone number id and by account."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Pool
from shared.db.queries import Queries
from shared.ids import NumberId, TenantId

sql = Queries(Path(__file__).with_name("graph.sql"))
SELECT_NODE_NUMBER: Final = sql["select_node_number"]
SELECT_NODES: Final = sql["select_nodes"]
SELECT_APP_SECRETS: Final = sql["select_app_secrets"]
SELECT_MEDIA_IDS: Final = sql["select_media_ids"]
IS_FOREIGN_NODE: Final = sql["is_foreign_node"]
_LONGEST_WIRE_ID: Final = 16


async def number_of(pool: Pool, tenant_id: TenantId, node_id: str) -> asyncpg.Record | None:
    """The tenant's number through which calls about a phone number id or an account are made."""
    return await pool.fetchrow(SELECT_NODE_NUMBER, tenant_id, node_id)


async def all_of(pool: Pool, tenant_id: TenantId, *, limit: int) -> list[asyncpg.Record]:
    """The tenant's numbers of the Cloud API, oldest first: id, phone number id, account."""
    return await pool.fetch(SELECT_NODES, limit, tenant_id)


async def secrets(pool: Pool, tenant_id: TenantId, number_ids: Sequence[NumberId] | None) -> list[asyncpg.Record]:
    """The sealed app secrets of these numbers, of all of the tenant's where none are named; the newest number first."""
    return await pool.fetch(SELECT_APP_SECRETS, tenant_id, None if number_ids is None else list(number_ids))


async def media_ids(pool: Pool, tenant_id: TenantId, digits: Iterable[str]) -> dict[str, str]:
    """The tenant's files by what clients call them: by our digits, or of an inbound file by the provider's."""
    wanted = list(digits)
    wire_ids = [int(text) for text in wanted if len(text) <= _LONGEST_WIRE_ID]
    rows = await pool.fetch(SELECT_MEDIA_IDS, tenant_id, wire_ids, wanted)
    return {row["name"]: row["id"] for row in rows}


async def is_foreign(pool: Pool, tenant_id: TenantId, node_id: str) -> bool:
    """True where somebody else has a number, an account or a template of that id."""
    return bool(await pool.fetchval(IS_FOREIGN_NODE, tenant_id, node_id))
