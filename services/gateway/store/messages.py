"""Messages and where they stand, in bulk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

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
SEARCH_MESSAGES: Final = sql["search_messages"]
SEARCH_MESSAGES_OF_RUN: Final = sql["search_messages_of_run"]
SEARCH_MESSAGES_BY_REFERENCE: Final = sql["search_messages_by_reference"]
INSERT_NEW: Final = sql["insert_new_messages"]

AFTER_ALL: Final = "~"
"""Greater than every id, for the first page of a descending list."""
LOOK_THROUGH: Final = 20_000
"""Messages that one page is sought in: some ten milliseconds' work. There is no index that every message would have to pay for."""

STATUSES: Final = {status.value: status for status in Status}

Key = tuple[TenantId, str]
"""A message's id with its tenant's: nobody reaches another tenant's message by its id."""


async def insert(connection: Connection, messages: Iterable[Message]) -> None:
    """The messages with the first entries of their timelines; by COPY, which costs half of the cheapest INSERT."""
    await connection.copy_records_to_table("messages", columns=_COLUMNS, records=map(_record, messages))


_COLUMNS: Final = (
    "id", "tenant_id", "number_id", "recipient", "content", "tier", "status", "status_rank", "scheduled_at", "expires_at",
    "on_unknown", "reference", "metadata", "traceparent", "created_at", "updated_at", "timeline", "run_id", "contact_id",
    "graph",
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
        message.run_id,
        message.contact_id,
        None if message.graph is None else orjson.dumps(message.graph).decode(),
    )


async def insert_new(connection: Connection, messages: Iterable[Message]) -> set[Key]:
    """Store those of the messages that are not there yet; returns their keys. That one is there already is rare, so all are copied
    first. Always in one order, so that two who store the same never wait for each other."""
    ordered = sorted(messages, key=lambda message: (message.tenant_id, message.id))
    try:
        async with connection.transaction():
            await insert(connection, ordered)
    except asyncpg.UniqueViolationError:
        rows = await connection.fetch(INSERT_NEW, orjson.dumps([_record(message) for message in ordered]).decode())
        return {(row["tenant_id"], row["id"]) for row in rows}
    return {(message.tenant_id, message.id) for message in ordered}


async def lock(connection: Connection, keys: Iterable[Key]) -> list[asyncpg.Record]:
    """Those messages that are there, each nobody else's to change until the transaction ends; `place` names it to `write`."""
    wanted = list(keys)
    return await connection.fetch(LOCK_MESSAGES, orjson.dumps(wanted).decode(), len(wanted))


def state_of(row: asyncpg.Record) -> State:
    """Where a locked message stands."""
    return State(
        STATUSES[row["status"]], row["wamid"], row["error_code"], row["error_detail"], row["updated_at"], row["timeline"]
    )


async def write(connection: Connection, states: Iterable[tuple[str, State]]) -> None:
    """Where messages stand now, by the places that `lock` gave them in this transaction. Each once: then it has another place."""
    rows = [(place, *state, RANKS[state.status]) for place, state in states]
    if rows:
        await connection.execute(WRITE_STATES, orjson.dumps(rows).decode(), len(rows))


async def find(connection: Pool | Connection, tenant_id: TenantId, message_id: str) -> asyncpg.Record | None:
    """The tenant's message of that id."""
    return await connection.fetchrow(SELECT_MESSAGE, tenant_id, message_id)


async def timeline_beside(pool: Pool, message_id: str) -> list[asyncpg.Record]:
    """Entries of status, at, code that a former version wrote in a table of their own."""
    return await pool.fetch(SELECT_TIMELINE, message_id)


class Wanted(NamedTuple):
    """What messages are looked for; None: any."""

    status: Status | None = None
    recipient: str | None = None
    number_id: str | None = None
    reference: str | None = None
    run_id: str | None = None


ANY: Final = Wanted()


async def page(
    pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int, wanted: Wanted = ANY
) -> tuple[list[asyncpg.Record], str | None]:
    """The tenant's messages that are wanted, newest first, and the id that the next page starts before, if there may be one.

    A search ends after `LOOK_THROUGH` messages, with fewer than `limit` where few of them are wanted.
    """
    start = tenant_id, before or AFTER_ALL, limit + 1
    if wanted == ANY:
        rows = await pool.fetch(SELECT_MESSAGES, *start)
        return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None
    status, recipient, number_id, reference, run_id = wanted
    search = *start, LOOK_THROUGH, status, recipient, number_id
    if run_id is not None:
        rows = await pool.fetch(SEARCH_MESSAGES_OF_RUN, *search, reference, run_id)
    elif reference is not None:
        rows = await pool.fetch(SEARCH_MESSAGES_BY_REFERENCE, *search, reference)
    else:
        rows = await pool.fetch(SEARCH_MESSAGES, *search)
    found = [row for row in rows if row["fits"]]
    if len(found) > limit:
        return found[:limit], found[limit - 1]["id"]
    return found, rows[-1]["id"] if rows and rows[-1]["place"] == LOOK_THROUGH else None
