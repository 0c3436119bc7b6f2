"""Whose conversations are kept."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shared.db.pool import Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("forget.sql"))
SELECT_OWN_CONVERSATIONS: Final = sql["select_own_conversations"]


async def own_conversations(pool: Pool, tenant_id: str, ids: Iterable[str]) -> set[str]:
    """Those of them that are the tenant's."""
    return {row["id"] for row in await pool.fetch(SELECT_OWN_CONVERSATIONS, tenant_id, list(ids))}
