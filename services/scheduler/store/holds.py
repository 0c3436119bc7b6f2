"""Holds and their numbers' windows, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Final

import asyncpg
import orjson

from services.scheduler.domain.settlement import Settlement
from services.scheduler.domain.window import RESERVED_PERCENT, window_size
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.events.catalogue import (
    MessageAccepted,
    MessageCancelRequested,
    MessageReleased,
    NumberConnected,
    OnUnknown,
    Tier,
)
from shared.ids import MessageId, NumberId, TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_HOLDS: Final = sql["insert_holds"]
UPSERT_NUMBER: Final = sql["upsert_number"]
CLAIM_DUE: Final = sql["claim_due"]
SETTLE_HOLDS: Final = sql["settle_holds"]
END_PUT_BACK: Final = sql["end_put_back"]
CANCEL_HOLDS: Final = sql["cancel_holds"]
KNOWN_HOLDS: Final = sql["known_holds"]
EXPIRE_HOLDS: Final = sql["expire_holds"]
REPEAT_SILENT: Final = sql["repeat_silent"]
FORGET_UNSETTLED: Final = sql["forget_unsettled"]


async def insert(connection: Connection, accepted: Sequence[MessageAccepted]) -> None:
    """One hold per message; a message that has one keeps it."""
    await connection.execute(
        INSERT_HOLDS,
        [event.message_id for event in accepted],
        [event.tenant_id for event in accepted],
        [event.number_id for event in accepted],
        [int(event.tier) for event in accepted],
        [event.not_before for event in accepted],
        [event.expires_at for event in accepted],
        [event.on_unknown for event in accepted],
        [event.to for event in accepted],
        [orjson.dumps(event.content).decode() for event in accepted],
        [event.traceparent for event in accepted],
    )


async def upsert_number(connection: Connection, event: NumberConnected) -> None:
    """The number's record, unless it or a later revision is known; a new one opens the number's own gates."""
    await connection.execute(
        UPSERT_NUMBER,
        event.number_id,
        event.tenant_id,
        event.revision,
        event.messages_per_second,
        window_size(event.messages_per_second),
        event.paused,
    )


async def claim_due(
    connection: Connection, *, limit_numbers: int, limit_per_number: int, silent_seconds: float
) -> list[MessageReleased]:
    """Release what is due and has room, counting the attempt; `repeat_silent` has it if no outcome comes in `silent_seconds`."""
    rows = await connection.fetch(CLAIM_DUE, limit_numbers, limit_per_number, silent_seconds, RESERVED_PERCENT)
    return [_released(row) for row in rows]


async def repeat_silent(
    connection: Connection, *, silent_seconds: float, longest_seconds: float, limit: int
) -> list[MessageReleased]:
    """What was told and had no outcome in its time, under the same attempt; each time it has twice as long, up to the longest."""
    return [_released(row) for row in await connection.fetch(REPEAT_SILENT, silent_seconds, longest_seconds, limit)]


async def settle(connection: Connection, settlements: Sequence[Settlement]) -> set[MessageId]:
    """Free the window and end, put back or park the holds; one settlement per message. Returns those put back.

    A message of unknown outcome that was put back to be sent again, and is reported to have arrived meanwhile, ends too, unless it
    is just being released.
    """
    in_order = sorted(settlements, key=itemgetter(0))
    columns = [list(column) for column in zip(*in_order, strict=True)]
    rows = await connection.fetch(SETTLE_HOLDS, *columns)
    if late := {row["message_id"] for row in rows if row["late"]}:
        ended = [(message_id, attempt) for message_id, attempt, *_ in in_order if message_id in late]
        await connection.execute(END_PUT_BACK, *(list(column) for column in zip(*ended, strict=True)))
    return {MessageId(row["message_id"]) for row in rows if not row["late"]}


async def cancel(connection: Connection, requests: Sequence[MessageCancelRequested]) -> set[str]:
    """Take out those that are still waiting; returns their ids."""
    ids, tenants = [r.message_id for r in requests], [r.tenant_id for r in requests]
    return {row["message_id"] for row in await connection.fetch(CANCEL_HOLDS, ids, tenants)}


async def known(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    """Which of them have a hold."""
    return {row["message_id"] for row in await connection.fetch(KNOWN_HOLDS, list(message_ids))}


async def expire(connection: Connection, *, limit: int) -> list[asyncpg.Record]:
    """Take out what is past its time to live; rows of message_id, tenant_id, traceparent."""
    return await connection.fetch(EXPIRE_HOLDS, limit)


async def forget_unsettled(connection: Connection, *, days: int) -> None:
    """Stop waiting for reports that can no longer come."""
    await connection.execute(FORGET_UNSETTLED, days)


def _released(row: asyncpg.Record) -> MessageReleased:
    """However often it is told, it occurred once."""
    return MessageReleased(
        occurred_at=row["released_at"],
        tenant_id=TenantId(row["tenant_id"]),
        traceparent=row["traceparent"],
        message_id=MessageId(row["message_id"]),
        attempt=row["attempt"],
        failures=row["failures"],
        number_id=NumberId(row["number_id"]),
        to=row["recipient"],
        content=orjson.loads(row["content"]),
        tier=Tier(row["tier"]),
        expires_at=row["expires_at"],
        on_unknown=OnUnknown(row["on_unknown"]),
        first_due_at=row["first_due_at"],
    )
