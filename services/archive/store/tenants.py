"""The small numbers of tenants, which the index carries in place of their ids."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("tenants.sql"))
TENANT_NUMBERS: Final = sql["tenant_numbers"]
NUMBER_TENANTS: Final = sql["number_tenants"]


async def numbers(connection: Connection | Pool, tenants: Collection[TenantId]) -> dict[TenantId, int]:
    """The numbers of those tenants that have one: of whom something was kept."""
    rows = await connection.fetch(TENANT_NUMBERS, list(tenants))
    return {TenantId(row["tenant_id"]): row["tenant_no"] for row in rows}


async def number(connection: Connection | Pool, tenants: Collection[TenantId]) -> None:
    """Give a number to each tenant that has none."""
    await connection.execute(NUMBER_TENANTS, list(tenants))
