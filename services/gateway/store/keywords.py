"""The words by which people opt out and in, where a tenant has chosen them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

import orjson

from services.gateway.domain.keywords import Keywords
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("contacts.sql"))
SELECT_KEYWORDS: Final = sql["select_keywords"]


async def of_tenants(connection: Connection, tenant_ids: Collection[TenantId]) -> Mapping[TenantId, Keywords]:
    """Of those tenants that have settings of their own."""
    rows = await connection.fetch(SELECT_KEYWORDS, list(tenant_ids))
    return {row["tenant_id"]: Keywords.of(orjson.loads(row["stop_words"]), orjson.loads(row["start_words"])) for row in rows}
