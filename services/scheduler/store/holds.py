"""Holds and their numbers' windows, in bulk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Final, TypeVar

import asyncpg
import orjson

from services.scheduler.domain.obstacle import LATER, Obstacle, Openings, is_free_form, template_of
from services.scheduler.domain.settlement import Settlement
from services.scheduler.domain.window import RESERVED_PERCENT, window_size
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.events.catalogue import MessageAccepted, MessageReleased, NumberConnected
from shared.events.values import OnUnknown, Tier, WindowPolicy
from shared.ids import MessageId, NumberId, TenantId

T = TypeVar("T")

sql = Queries(Path(__file__).with_name("queries.sql"))
INSERT_HOLDS: Final = sql["insert_holds"]
UPSERT_NUMBER: Final = sql["upsert_number"]
CLAIM_DUE: Final = sql["claim_due"]
END_WAITING: Final = sql["end_waiting"]
BLOCK_HELD: Final = sql["block_held"]
LOCK_QUIET: Final = sql["lock_quiet"]
POSTPONE_HOLDS: Final = sql["postpone_holds"]
DOUBT_WINDOWS: Final = sql["doubt_windows"]
TRACE_HOLDS: Final = sql["trace_holds"]
SETTLE_HOLDS: Final = sql["settle_holds"]
END_PUT_BACK: Final = sql["end_put_back"]
CANCEL_HOLDS: Final = sql["cancel_holds"]
KNOWN_HOLDS: Final = sql["known_holds"]
RUNS_OF_UNSETTLED: Final = sql["runs_of_unsettled"]
EXPIRE_HOLDS: Final = sql["expire_holds"]
REPEAT_SILENT: Final = sql["repeat_silent"]
FORGET_UNSETTLED: Final = sql["forget_unsettled"]


@dataclass(frozen=True, slots=True)
class Claimed:
    """What a claim found: the most urgent released, and those that an obstacle stopped, still as they were."""

    released: Sequence[MessageReleased]
    stopped: Mapping[Obstacle, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Settled:
    """Of the messages that were settled, those put back, with the id of their run if they belong to one, and those of runs that
    have ended, with that."""

    put_back: Mapping[MessageId, str | None]
    ended: Mapping[str, str]


async def insert(connection: Connection, accepted: Sequence[MessageAccepted]) -> None:
    """One hold per message; a message that has one keeps it."""
    openings = Openings()
    quiet = [openings.quiet_at(event) for event in accepted]
    await connection.execute(
        INSERT_HOLDS,
        [event.message_id for event in accepted],
        [event.tenant_id for event in accepted],
        [event.number_id for event in accepted],
        [int(event.tier) for event in accepted],
        [event.not_before for event in accepted],
        _padded([event.expires_at for event in accepted]),
        [event.on_unknown for event in accepted],
        [event.to for event in accepted],
        [orjson.dumps(event.content).decode() for event in accepted],
        _padded([event.traceparent for event in accepted]),
        _padded([event.run_id for event in accepted]),
        _padded([hours for hours, _ in quiet]),
        _padded([quiet_at for _, quiet_at in quiet]),
        [event.needs_consent for event in accepted],
        _padded([template_of(event.content) for event in accepted]),
        [is_free_form(event.content) for event in accepted],
        LATER,
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
        event.account_id,
        event.portfolio_id,
        event.unique_users_per_day,
        event.window_policy is WindowPolicy.ENFORCE and event.connected_at is not None,
    )


async def claim_due(connection: Connection, *, limit_numbers: int, limit_per_number: int, silent_seconds: float) -> Claimed:
    """Release what is due, has room and no obstacle, counting the attempt; `repeat_silent` has it if no outcome comes in
    `silent_seconds`. The numbers of what was stopped are locked: until the end of the transaction no other claim finds it."""
    rows = await connection.fetch(CLAIM_DUE, limit_numbers, limit_per_number, silent_seconds, RESERVED_PERCENT)
    stopped: dict[Obstacle, list[str]] = {}
    while rows and (obstacle := rows[-1]["obstacle"]) is not None:
        stopped.setdefault(Obstacle(obstacle), []).append(rows.pop()["message_id"])
    return Claimed([_released(row) for row in rows], stopped)


async def end_waiting(connection: Connection, message_ids: Sequence[str]) -> list[asyncpg.Record]:
    """Take out those that still wait; rows of message_id, tenant_id, traceparent, run_id."""
    return await connection.fetch(END_WAITING, message_ids)


async def block(connection: Connection, message_ids: Sequence[str]) -> list[asyncpg.Record]:
    """Block those whose template is still held; rows of message_id, tenant_id, traceparent, code."""
    return await connection.fetch(BLOCK_HELD, message_ids)


async def lock_quiet(connection: Connection, message_ids: Sequence[str]) -> list[asyncpg.Record]:
    """To be postponed in this transaction; rows of message_id, tenant_id, traceparent, hours, now."""
    return await connection.fetch(LOCK_QUIET, message_ids)


async def postpone(connection: Connection, openings: Mapping[str, tuple[datetime, datetime | None]]) -> None:
    """Each locked hold waits for the next opening of its hours, which ends at the second of the times."""
    starts, ends = [start for start, _ in openings.values()], [end for _, end in openings.values()]
    await connection.execute(POSTPONE_HOLDS, list(openings), starts, ends)


async def doubt(connection: Connection, message_ids: Sequence[str], code: str, wait: timedelta) -> None:
    """Look at them again after `wait`, and believe it then."""
    await connection.execute(DOUBT_WINDOWS, message_ids, code, wait)


async def repeat_silent(
    connection: Connection, *, silent_seconds: float, longest_seconds: float, limit: int
) -> list[MessageReleased]:
    """What was told and had no outcome in its time, under the same attempt; each time it has twice as long, up to the longest."""
    return [_released(row) for row in await connection.fetch(REPEAT_SILENT, silent_seconds, longest_seconds, limit)]


async def settle(connection: Connection, settlements: Sequence[Settlement]) -> Settled:
    """Free the window and end, put back or park the holds; one settlement per message.

    A message of unknown outcome that was put back to be sent again, and is reported to have arrived meanwhile, ends too, unless it
    is just being released.
    """
    in_order = sorted(settlements, key=itemgetter(0))
    columns = [list(column) for column in zip(*in_order, strict=True)]
    rows = await connection.fetch(SETTLE_HOLDS, *columns)
    ended = {row["message_id"]: row["run_id"] for row in rows if row["what"] == "ended"}
    if late := {row["message_id"] for row in rows if row["what"] == "late"}:
        told = [(message_id, attempt) for message_id, attempt, *_ in in_order if message_id in late]
        arrived = await connection.fetch(END_PUT_BACK, *(list(column) for column in zip(*told, strict=True)))
        ended |= {row["message_id"]: row["run_id"] for row in arrived if row["run_id"] is not None}
    return Settled({MessageId(row["message_id"]): row["run_id"] for row in rows if row["what"] == "back"}, ended)


async def trace(connection: Connection, traceparents: Mapping[str, str]) -> None:
    """The next attempts of those that nobody has traced are recorded: something has failed."""
    await connection.execute(TRACE_HOLDS, list(traceparents), list(traceparents.values()))


async def cancel(connection: Connection, messages: Sequence[tuple[str, str]]) -> dict[str, str | None]:
    """Take out those (message, tenant) that are not released; returns their ids with those of their runs."""
    columns = [list(column) for column in zip(*sorted(messages), strict=True)]
    return {row["message_id"]: row["run_id"] for row in await connection.fetch(CANCEL_HOLDS, *columns)}


async def runs_of_unsettled(connection: Connection, message_ids: Sequence[str]) -> dict[str, str]:
    """Of those whose outcome is unknown the messages of runs, in order, each with its run."""
    rows = await connection.fetch(RUNS_OF_UNSETTLED, sorted(set(message_ids)))
    return {row["message_id"]: row["run_id"] for row in rows}


async def known(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    """Which of them have a hold."""
    return {row["message_id"] for row in await connection.fetch(KNOWN_HOLDS, list(message_ids))}


async def expire(connection: Connection, *, limit: int) -> list[asyncpg.Record]:
    """Take out what is past its time to live; rows of message_id, tenant_id, traceparent, run_id."""
    return await connection.fetch(EXPIRE_HOLDS, limit)


async def forget_unsettled(connection: Connection, *, days: int, limit: int) -> list[asyncpg.Record]:
    """Stop waiting for reports that can no longer come; rows of message_id, run_id."""
    return await connection.fetch(FORGET_UNSETTLED, days, limit)


def _padded(column: list[T | None]) -> list[T | None]:
    """A column in which nothing is need not be sent: `unnest` pads it."""
    return column if any(value is not None for value in column) else []


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
