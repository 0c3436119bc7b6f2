"""Payloads between their 200 and their events, and the inbound messages already taken."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_WEBHOOKS: Final = sql["insert_webhooks"]
CLAIM_WEBHOOKS: Final = sql["claim_webhooks"]
DELETE_WEBHOOKS: Final = sql["delete_webhooks"]
QUARANTINE_WEBHOOKS: Final = sql["quarantine_webhooks"]
INSERT_INBOUND: Final = sql["insert_inbound"]


async def insert(pool: Pool, payloads: Sequence[tuple[TenantId, bytes, str | None]]) -> None:
    """Payloads of (tenant, body, trace context), durable when this returns."""
    await pool.execute(INSERT_WEBHOOKS, [p[0] for p in payloads], [p[1] for p in payloads], [p[2] for p in payloads])


async def claim(connection: Connection, *, limit: int, limit_bytes: int) -> list[asyncpg.Record]:
    """The oldest that wait, locked until the transaction ends: so many, and so many bytes of them, at most, but one at least."""
    return await connection.fetch(CLAIM_WEBHOOKS, limit, limit_bytes)


async def delete(connection: Connection, ids: Sequence[int]) -> None:
    await connection.execute(DELETE_WEBHOOKS, ids)


async def quarantine(connection: Connection, reasons: dict[int, str]) -> None:
    """Set payloads aside, each with its reason."""
    await connection.execute(QUARANTINE_WEBHOOKS, list(reasons), list(reasons.values()))


async def new_inbound(connection: Connection, keys: Sequence[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of these (number, wamid) had not been taken before; they are now."""
    rows = await connection.fetch(INSERT_INBOUND, [k[0] for k in keys], [k[1] for k in keys])
    return {(row["number_id"], row["wamid"]) for row in rows}
