"""The ledger: the recipients of runs, in bulk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import asyncpg
import orjson

from services.scheduler.domain.run import RecipientState
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.values import Recipient

sql = Queries(Path(__file__).with_name("recipients.sql"))
INSERT_RECIPIENTS: Final = sql["insert_recipients"]
TAKE_PENDING: Final = sql["take_pending"]
REQUEST_RECIPIENTS: Final = sql["request_recipients"]
POSTPONE_RECIPIENTS: Final = sql["postpone_recipients"]
END_RECIPIENTS: Final = sql["end_recipients"]
CANCEL_PENDING: Final = sql["cancel_pending"]
RETURN_RECIPIENTS: Final = sql["return_recipients"]
LOCK_REQUESTED: Final = sql["lock_requested"]
CONCLUDE_RECIPIENTS: Final = sql["conclude_recipients"]
REPORT_RECIPIENTS: Final = sql["report_recipients"]
LIST_RECIPIENTS: Final = sql["list_recipients"]


class Found(NamedTuple):
    """One of an audience as it goes into the ledger: pending, or rejected with the code."""

    position: int
    recipient: Recipient
    due_at: datetime
    expires_at: datetime | None
    code: str | None
    detail: str | None


class Conclusion(NamedTuple):
    """How a message of a run has ended."""

    run_id: str
    message_id: str
    state: RecipientState
    code: str | None
    detail: str | None


class Report(NamedTuple):
    """What the provider says of a message of a run, as far as it is told."""

    run_id: str
    message_id: str
    delivered_at: datetime | None
    read_at: datetime | None
    failed_at: datetime | None


Place = tuple[str, int]
"""Run and position."""


async def insert(connection: Connection, run_id: str, found: Sequence[Found]) -> None:
    """Write a page; whose phone number the run has already is counted as a duplicate."""
    await connection.execute(
        INSERT_RECIPIENTS,
        run_id,
        [one.position for one in found],
        [one.recipient.to for one in found],
        [one.recipient.contact_id for one in found],
        [one.recipient.zone for one in found],
        [one.recipient.variant for one in found],
        [_content(one) for one in found],
        [one.due_at for one in found],
        [one.expires_at for one in found],
        [RecipientState.REJECTED if one.code else RecipientState.PENDING for one in found],
        [one.code for one in found],
        [one.detail for one in found],
    )


async def take_pending(connection: Connection, quotas: Sequence[tuple[str, int, timedelta]]) -> list[asyncpg.Record]:
    """Of each run so many that are due in so long or earlier: rows of run_id, position, phone, contact_id, zone, content (JSON),
    due_at, expires_at. The runs are locked, so they stay as they are."""
    return await connection.fetch(TAKE_PENDING, *_columns(quotas, 3))


async def request(connection: Connection, requests: Sequence[tuple[str, int, str, datetime]]) -> None:
    """Pending (run, position) become requested under the message id, to leave at the time."""
    await connection.execute(REQUEST_RECIPIENTS, *_columns(requests, 4))


async def postpone(connection: Connection, places: Sequence[tuple[str, int, datetime]]) -> None:
    """Pending (run, position) wait until the time."""
    await connection.execute(POSTPONE_RECIPIENTS, *_columns(places, 3))


async def end(connection: Connection, places: Sequence[Place], state: RecipientState, code: str) -> None:
    """Pending ones that will have no message."""
    await connection.execute(END_RECIPIENTS, *_columns(places, 2), state, code)


async def cancel_pending(connection: Connection, run_ids: Sequence[str], code: str, *, limit: int) -> int:
    """End so many of the pending ones of locked runs; returns how many there were."""
    count: int = await connection.fetchval(CANCEL_PENDING, list(run_ids), code, limit)
    return count


async def give_back(connection: Connection, messages: Sequence[tuple[str, str]]) -> None:
    """Those requested under (run, message) are pending again; the message is one of the past."""
    await connection.execute(RETURN_RECIPIENTS, *_columns(sorted(messages, key=lambda pair: pair[1]), 2))


async def lock_requested(connection: Connection, message_ids: Sequence[str]) -> set[str]:
    """Of the messages, those that a recipient waits for; it does not end before the transaction does, but by it."""
    rows = await connection.fetch(LOCK_REQUESTED, sorted(set(message_ids)))
    return {row["message_id"] for row in rows}


async def conclude(connection: Connection, conclusions: Sequence[Conclusion]) -> None:
    """Those requested under the messages end; the first of several tellings about one message counts."""
    await connection.execute(CONCLUDE_RECIPIENTS, *_columns(_each_once(conclusions), 5))


async def report(connection: Connection, reports: Sequence[Report]) -> None:
    """Keep what the provider said first of each; each message is given once."""
    await connection.execute(REPORT_RECIPIENTS, *_columns(sorted(reports, key=attrgetter("message_id")), 5))


async def page(
    connection: Connection | Pool, run_id: str, *, state: RecipientState | None, after: int, limit: int
) -> list[asyncpg.Record]:
    """By position, those after it: rows of position, phone, contact_id, zone, variant, due_at, state, code, detail, message_id,
    ended_at, delivered_at, read_at, failed_at."""
    return await connection.fetch(LIST_RECIPIENTS, run_id, state, after, limit)


def _each_once(conclusions: Sequence[Conclusion]) -> list[Conclusion]:
    first: dict[str, Conclusion] = {}
    for conclusion in conclusions:
        first.setdefault(conclusion.message_id, conclusion)
    return [first[message_id] for message_id in sorted(first)]


def _content(one: Found) -> str | None:
    return None if one.code or one.recipient.content is None else orjson.dumps(one.recipient.content).decode()


def _columns(rows: Sequence[Sequence[Any]], width: int) -> list[list[Any]]:
    return [[row[column] for row in rows] for column in range(width)]
