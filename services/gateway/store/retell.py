"""Pages of all that others keep a copy of, whosever it is."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("retell.sql"))
RETELL_NUMBERS: Final = sql["retell_numbers"]
RETELL_SETTINGS: Final = sql["retell_settings"]
RETELL_TEMPLATES: Final = sql["retell_templates"]
RETELL_OPT_OUTS: Final = sql["retell_opt_outs"]
RETELL_KEPT_OPT_OUTS: Final = sql["retell_kept_opt_outs"]
RETELL_TENANTS: Final = sql["retell_tenants"]
RETELL_MESSAGES: Final = sql["retell_messages"]

Place = tuple[str, str]
"""Tenant and id of the row that a page begins after."""


async def numbers(connection: Connection, after: Place, limit: int) -> list[asyncpg.Record]:
    return await connection.fetch(RETELL_NUMBERS, after[1], limit)


async def settings(connection: Connection, after: Place, limit: int) -> list[asyncpg.Record]:
    return await connection.fetch(RETELL_SETTINGS, after[0], limit)


async def templates(connection: Connection, after: Place, limit: int) -> list[asyncpg.Record]:
    """The providers'."""
    return await connection.fetch(RETELL_TEMPLATES, *after, limit)


async def opt_outs(connection: Connection, after: Place, limit: int) -> list[asyncpg.Record]:
    """Contacts who do not want to be written to, at whatever address."""
    return await connection.fetch(RETELL_OPT_OUTS, *after, limit)


async def kept_opt_outs(connection: Connection, after: Place, limit: int) -> list[asyncpg.Record]:
    """Of contacts that were erased; a row's id is the phone number."""
    return await connection.fetch(RETELL_KEPT_OPT_OUTS, *after, limit)


async def tenants(connection: Connection, after: str, limit: int) -> list[str]:
    """Their ids."""
    return [row["id"] for row in await connection.fetch(RETELL_TENANTS, after, limit)]


async def messages(connection: Connection, tenant_id: str, before: str, limit: int) -> list[asyncpg.Record]:
    """The tenant's, the newest first."""
    return await connection.fetch(RETELL_MESSAGES, tenant_id, before, limit)
