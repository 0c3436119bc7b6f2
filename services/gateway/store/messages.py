"""Messages and where they stand, in bulk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

import asyncpg
import orjson

from services.gateway.domain.message import Message
from services.gateway.domain.state import State
from services.gateway.domain.status import RANKS, Status
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
LOCK_MESSAGES: Final = sql["lock_messages"]
WRITE_STATES: Final = sql["write_states"]
SELECT_MESSAGE: Final = sql["select_message"]
SELECT_TIMELINE: Final = sql["select_timeline"]
SELECT_MESSAGES: Final = sql["select_messages"]
SELECT_MESSAGES_BY_STATUS: Final = sql["select_messages_by_status"]

AFTER_ALL: Final = "~"
"""Greater than every id, for the first page of a descending list."""

STATUSES: Final = {status.value: status for status in Status}

Key = tuple[TenantId, str]
"""A message's id with its tenant's: nobody reaches another tenant's message by its id."""


async def insert(connection: Connection, messages: Iterable[Message]) -> None:
    """The messages with the first entries of their timelines; by COPY, which costs half of the cheapest INSERT."""
    await connection.copy_records_to_table("messages", columns=_COLUMNS, records=map(_record, messages))


_COLUMNS: Final = (
    "id", "tenant_id", "number_id", "recipient", "content", "tier", "status", "status_rank", "scheduled_at", "expires_at",
    "on_unknown", "reference", "metadata", "traceparent", "created_at", "updated_at", "timeline",
)  # fmt: skip


def _record(message: Message) -> tuple[object, ...]:
    return (
        message.id,
        message.tenant_id,
        message.number_id,
        message.recipient,
        orjson.dumps(message.content).decode(),
        message.tier,
        message.status,
        RANKS[message.status],
        message.not_before if message.status is Status.SCHEDULED else None,
        message.expires_at,
        message.on_unknown,
        message.reference,
        None if message.metadata is None else orjson.dumps(message.metadata).decode(),
        message.traceparent,
        message.accepted_at,
        message.accepted_at,
        message.timeline(),
    )


async def lock(connection: Connection, keys: Iterable[Key]) -> list[asyncpg.Record]:
    """Those messages that are there, each nobody else's to change until the transaction ends."""
    return await connection.fetch(LOCK_MESSAGES, orjson.dumps(list(keys)).decode())


def state_of(row: asyncpg.Record) -> State:
    """Where a locked message stands."""
    return State(
        STATUSES[row["status"]], row["wamid"], row["error_code"], row["error_detail"], row["updated_at"], row["timeline"]
    )


async def write(connection: Connection, states: Iterable[tuple[Key, State]]) -> None:
    """Where locked messages stand now."""
    rows = [(tenant_id, message_id, status, RANKS[status], *rest) for (tenant_id, message_id), (status, *rest) in states]
    if rows:
        await connection.execute(WRITE_STATES, orjson.dumps(rows).decode())


async def find(connection: Pool | Connection, tenant_id: TenantId, message_id: str) -> asyncpg.Record | None:
    """The tenant's message of that id."""
    return await connection.fetchrow(SELECT_MESSAGE, tenant_id, message_id)


async def timeline_beside(pool: Pool, message_id: str) -> list[asyncpg.Record]:
    """Entries of status, at, code that a former version wrote in a table of their own."""
    return await pool.fetch(SELECT_TIMELINE, message_id)


async def page(
    pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int, status: Status | None
) -> list[asyncpg.Record]:
    """The tenant's messages, newest first."""
    if status is None:
        return await pool.fetch(SELECT_MESSAGES, tenant_id, before or AFTER_ALL, limit)
    return await pool.fetch(SELECT_MESSAGES_BY_STATUS, tenant_id, before or AFTER_ALL, limit, status)
