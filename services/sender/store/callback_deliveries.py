"""What callbacks are told, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from services.sender.domain.callback import DeliveryState, Verdict
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("callback_deliveries.sql"))
INSERT: Final = sql["insert_deliveries"]
INSERT_TRIED: Final = sql["insert_tried_delivery"]
CLAIM: Final = sql["claim_deliveries"]
CLAIM_NAMED: Final = sql["claim_named_deliveries"]
RECORD: Final = sql["record_deliveries"]
LIST: Final = sql["select_deliveries"]
LIST_FAILED: Final = sql["select_failed_deliveries"]
SELECT: Final = sql["select_delivery"]
REPLAY: Final = sql["replay_deliveries"]
RETRY: Final = sql["retry_delivery"]
FAIL_WAITING: Final = sql["fail_waiting"]
DELETE: Final = sql["delete_deliveries"]
PRUNE: Final = sql["prune_deliveries"]

Try = Mapping[str, Any]
"""An attempt as it is kept: at, status, error, milliseconds, answer."""


@dataclass(frozen=True, slots=True)
class Told:
    """An update for a callback."""

    id: str
    callback_id: str
    update_id: str
    type: str
    number_id: str | None
    occurred_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is this process's to make, until its lease ends."""

    id: str
    callback_id: str
    update_id: str
    claim: int
    failures: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that was made."""

    delivery: Claimed
    verdict: Verdict
    tried: Try


@dataclass(frozen=True, slots=True)
class Span:
    """Deliveries of a callback, of those told since and before a time, of types that one of these patterns fits; None: any."""

    callback_id: str
    since: datetime | None
    until: datetime | None
    types: Sequence[str] | None = None


Place = tuple[datetime, str]
"""Of a delivery in the log: when it was told, and its id."""


async def insert(pool: Pool, told: Sequence[Told]) -> None:
    """Those that are new. Rows are locked in one order everywhere."""
    rows = sorted(told, key=lambda one: (one.callback_id, one.update_id))
    await pool.execute(
        INSERT,
        [one.id for one in rows],
        [one.callback_id for one in rows],
        [one.update_id for one in rows],
        [one.type for one in rows],
        [one.number_id for one in rows],
        [one.occurred_at for one in rows],
        [one.body for one in rows],
    )


async def insert_tried(connection: Connection, told: Told, verdict: Verdict, tried: Try) -> None:
    """One that is made once and has been."""
    await connection.execute(
        INSERT_TRIED,
        told.id,
        told.callback_id,
        told.update_id,
        told.type,
        told.body,
        verdict.state.value,
        verdict.code,
        orjson.dumps(tried).decode(),
    )


async def claim(pool: Pool, rooms: Mapping[str, int], *, lease_seconds: float) -> list[Claimed]:
    """At most so many of each callback's, the longest due first."""
    return _claimed(await pool.fetch(CLAIM, list(rooms), list(rooms.values()), lease_seconds))


async def claim_named(pool: Pool, ids: Sequence[str], *, lease_seconds: float) -> list[Claimed]:
    """Those of them that are due."""
    return _claimed(await pool.fetch(CLAIM_NAMED, list(ids), lease_seconds))


def _claimed(rows: Sequence[asyncpg.Record]) -> list[Claimed]:
    return [
        Claimed(row["id"], row["callback_id"], row["update_id"], row["claim"], row["failures"], row["body"]) for row in rows
    ]


async def record(pool: Pool, ended: Sequence[Ended]) -> None:
    """What became of those that nobody has claimed since."""
    rows = sorted(ended, key=lambda one: one.delivery.id)
    await pool.execute(
        RECORD,
        [one.delivery.id for one in rows],
        [one.delivery.claim for one in rows],
        [one.verdict.state.value for one in rows],
        [one.verdict.wait for one in rows],
        [one.verdict.failures for one in rows],
        [one.verdict.code for one in rows],
        [orjson.dumps(one.tried).decode() for one in rows],
    )


async def listed(
    pool: Pool, span: Span, *, before: Place, state: DeliveryState | None, kind: str | None, limit: int
) -> list[asyncpg.Record]:
    """The latest first."""
    query = LIST_FAILED if state is DeliveryState.FAILED else LIST
    chosen = None if state is None else state.value
    return await pool.fetch(query, span.callback_id, *before, span.since, span.until, chosen, kind, limit)


async def find(pool: Pool, callback_id: str, delivery_id: str) -> asyncpg.Record | None:
    return await pool.fetchrow(SELECT, callback_id, delivery_id)


async def replay(connection: Connection, span: Span, *, after: Place, states: Sequence[str], limit: int) -> list[Place]:
    """Put those back to wait that have ended so; where they stand in the log, the earliest first. Ends with `span.until`."""
    types = None if span.types is None else [pattern.replace("_", "\\_").replace("*", "%") for pattern in span.types]
    rows = await connection.fetch(REPLAY, span.callback_id, *after, span.until, list(states), types, limit)
    return sorted((row["created_at"], row["id"]) for row in rows)


async def retry(connection: Connection, callback_id: str, delivery_id: str) -> bool:
    """Let it come at once; False where it is just being posted, or not there."""
    return await connection.fetchval(RETRY, callback_id, delivery_id) is not None


async def fail_waiting(pool: Pool, callback_id: str, code: str, *, limit: int) -> bool:
    """End what waits; True where there may be more."""
    return await pool.execute(FAIL_WAITING, callback_id, code, limit) == f"UPDATE {limit}"


async def delete(pool: Pool, callback_id: str, *, limit: int) -> bool:
    """Forget all of a callback's; True where there may be more."""
    return await pool.execute(DELETE, callback_id, limit) == f"DELETE {limit}"


async def prune(pool: Pool, state: DeliveryState, *, days: int, limit: int) -> bool:
    """Forget those that ended so longer ago; True where there may be more."""
    return await pool.execute(PRUNE, state.value, days, limit) == f"DELETE {limit}"
