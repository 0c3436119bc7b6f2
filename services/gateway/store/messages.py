"""Messages and their timelines, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg
import orjson

from services.gateway.domain.message import Message
from services.gateway.domain.status import RANKS, Change, Status, highest
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import MessageId, TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_MESSAGES: Final = sql["insert_messages"]
INSERT_TIMELINE: Final = sql["insert_timeline"]
RAISE_STATUS: Final = sql["raise_status"]
LOCK_MESSAGES: Final = sql["lock_messages"]
SELECT_MESSAGE: Final = sql["select_message"]
SELECT_TIMELINE: Final = sql["select_timeline"]
SELECT_MESSAGES: Final = sql["select_messages"]
SELECT_MESSAGES_BY_STATUS: Final = sql["select_messages_by_status"]
SELECT_REPORTED: Final = sql["select_reported"]

AFTER_ALL: Final = "~"
"""Greater than every id, for the first page of a descending list."""


async def insert(connection: Connection, messages: Sequence[Message]) -> None:
    """The messages with the first entries of their timelines."""
    await connection.execute(
        INSERT_MESSAGES,
        [m.id for m in messages],
        [m.tenant_id for m in messages],
        [m.number_id for m in messages],
        [m.recipient for m in messages],
        [orjson.dumps(m.content).decode() for m in messages],
        [int(m.tier) for m in messages],
        [m.status for m in messages],
        [RANKS[m.status] for m in messages],
        [m.not_before if m.status is Status.SCHEDULED else None for m in messages],
        [m.expires_at for m in messages],
        [m.reference for m in messages],
        [None if m.metadata is None else orjson.dumps(m.metadata).decode() for m in messages],
        [m.traceparent for m in messages],
        [m.accepted_at for m in messages],
    )
    entries = [(m.id, Status.ACCEPTED, m.accepted_at) for m in messages]
    entries += [(m.id, Status.SCHEDULED, m.accepted_at) for m in messages if m.status is Status.SCHEDULED]
    await connection.fetch(
        INSERT_TIMELINE, [e[0] for e in entries], [e[1] for e in entries], [e[2] for e in entries], [None] * len(entries)
    )


@dataclass(frozen=True, slots=True)
class Applied:
    """What `apply` found: the entries that were new, as (message, status, time), and the messages as they stood before, by id."""

    new: set[tuple[str, str, datetime]]
    before: dict[str, asyncpg.Record]


async def apply(connection: Connection, changes: Sequence[Change]) -> Applied:
    """Write the timeline and raise the status where it climbs."""
    tops = highest(changes)
    before = await connection.fetch(LOCK_MESSAGES, [c.tenant_id for c in tops], [c.message_id for c in tops])
    rows = await connection.fetch(
        INSERT_TIMELINE,
        [c.message_id for c in changes],
        [c.status for c in changes],
        [c.at for c in changes],
        [c.code for c in changes],
    )
    await connection.execute(
        RAISE_STATUS,
        [c.message_id for c in tops],
        [c.tenant_id for c in tops],
        [c.status for c in tops],
        [RANKS[c.status] for c in tops],
        [c.at for c in tops],
        [c.wamid for c in tops],
        [c.code for c in tops],
        [c.detail for c in tops],
    )
    return Applied({(row["message_id"], row["status"], row["at"]) for row in rows}, {row["id"]: row for row in before})


async def find(connection: Pool | Connection, tenant_id: TenantId, message_id: str) -> asyncpg.Record | None:
    """The tenant's message of that id."""
    return await connection.fetchrow(SELECT_MESSAGE, tenant_id, message_id)


async def timeline(pool: Pool, message_id: str) -> list[asyncpg.Record]:
    """Entries of status, at, code, in the order they happened."""
    return await pool.fetch(SELECT_TIMELINE, message_id)


async def page(
    pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int, status: Status | None
) -> list[asyncpg.Record]:
    """The tenant's messages, newest first."""
    if status is None:
        return await pool.fetch(SELECT_MESSAGES, tenant_id, before or AFTER_ALL, limit)
    return await pool.fetch(SELECT_MESSAGES_BY_STATUS, tenant_id, before or AFTER_ALL, limit, status)


async def reported(connection: Connection, messages: Sequence[tuple[TenantId, MessageId]]) -> dict[str, asyncpg.Record]:
    """Rows of id, number_id, traceparent by id, of those that are the tenants' own."""
    rows = await connection.fetch(SELECT_REPORTED, [tenant for tenant, _ in messages], [message for _, message in messages])
    return {row["id"]: row for row in rows}
