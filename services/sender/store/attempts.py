"""Attempts, in bulk: claimed before the call, settled after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import NotSent, Outcome, Refused, Sent, Unknown
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.events.catalogue import MessageDeferred, MessageFailed, MessageReleased, MessageSent, MessageUnsettled
from shared.events.event import Event
from shared.ids import MessageId, TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
CLAIM_ATTEMPTS: Final = sql["claim_attempts"]
DEFER_ATTEMPTS: Final = sql["defer_attempts"]
SETTLED_ATTEMPTS: Final = sql["settled_attempts"]
RECORD_OUTCOMES: Final = sql["record_outcomes"]
SETTLE_BY_REPORT: Final = sql["settle_by_report"]
OPEN_ATTEMPTS_OF: Final = sql["open_attempts_of"]
EXPIRED_ATTEMPTS: Final = sql["expired_attempts"]
PRUNE_ATTEMPTS: Final = sql["prune_attempts"]


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt and how it ended. `retry_at` is set for `NotSent` only."""

    attempt: AttemptId
    tenant_id: TenantId
    traceparent: str | None
    started_at: datetime
    outcome: Outcome
    retry_at: datetime | None = None


async def claim(
    connection: Connection, released: Sequence[MessageReleased], *, instance: str, lease_seconds: float
) -> set[AttemptId]:
    """Write the intent; returns the attempts that are this process's to make. The caller holds none of them already; what it does
    not get was claimed or settled before."""
    rows = await connection.fetch(
        CLAIM_ATTEMPTS,
        [event.message_id for event in released],
        [event.attempt for event in released],
        [event.tenant_id for event in released],
        [event.number_id for event in released],
        [event.traceparent for event in released],
        instance,
        lease_seconds,
    )
    return {AttemptId(MessageId(row["message_id"]), row["attempt"]) for row in rows}


async def defer(
    connection: Connection, late: Sequence[tuple[MessageReleased, datetime]], *, instance: str, code: str
) -> set[AttemptId]:
    """Put attempts down, unmade, until their time: written like the others, so that a second telling of one cannot make it. Returns
    those that were new."""
    rows = await connection.fetch(
        DEFER_ATTEMPTS,
        [event.message_id for event, _ in late],
        [event.attempt for event, _ in late],
        [event.tenant_id for event, _ in late],
        [event.number_id for event, _ in late],
        [event.traceparent for event, _ in late],
        [retry_at for _, retry_at in late],
        instance,
        code,
    )
    return {AttemptId(MessageId(row["message_id"]), row["attempt"]) for row in rows}


async def record(connection: Connection, settled: Sequence[Settled]) -> set[AttemptId]:
    """Write the outcomes; returns those that were new. An attempt that was settled already stays as it is."""
    rows = await connection.fetch(
        RECORD_OUTCOMES,
        [s.attempt.message_id for s in settled],
        [s.attempt.attempt for s in settled],
        [_STATES[type(s.outcome)] for s in settled],
        [s.outcome.wamid if isinstance(s.outcome, Sent) else None for s in settled],
        [None if isinstance(s.outcome, Sent) else s.outcome.code for s in settled],
        [s.outcome.detail if isinstance(s.outcome, Refused) else None for s in settled],
        [s.retry_at for s in settled],
        [s.outcome.counted if isinstance(s.outcome, NotSent) else True for s in settled],
        [s.started_at for s in settled],
    )
    return {AttemptId(MessageId(row["message_id"]), row["attempt"]) for row in rows}


async def outcomes(connection: Connection, attempts: Sequence[AttemptId]) -> list[Settled]:
    """How those that have ended ended."""
    rows = await connection.fetch(SETTLED_ATTEMPTS, *_columns(attempts))
    return [Settled(*_head(row), _outcome(row), row["retry_at"]) for row in rows]


async def settle_by_report(connection: Connection, reports: Sequence[tuple[AttemptId, str]]) -> list[Settled]:
    """A report proves that the provider has the message: settle what was open; returns that."""
    wamids = [wamid for _, wamid in reports]
    rows = await connection.fetch(SETTLE_BY_REPORT, *_columns([attempt for attempt, _ in reports]), wamids)
    return [Settled(*_head(row), Sent(row["wamid"])) for row in rows]


async def open_of(connection: Connection, instance: str) -> list[tuple[AttemptId, TenantId, str | None, datetime]]:
    """What a process that is gone left open."""
    return [_head(row) for row in await connection.fetch(OPEN_ATTEMPTS_OF, instance)]


async def expired(connection: Connection, *, limit: int) -> list[tuple[AttemptId, TenantId, str | None, datetime]]:
    """What nobody has been heard of within the lease."""
    return [_head(row) for row in await connection.fetch(EXPIRED_ATTEMPTS, limit)]


async def prune(connection: Connection, *, days: int, limit: int) -> int:
    """Forget old attempts; returns how many."""
    return int((await connection.execute(PRUNE_ATTEMPTS, days, limit)).rpartition(" ")[2])


def event_of(settled: Settled) -> Event:
    """What the other services are told."""
    event: MessageSent | MessageFailed | MessageDeferred | MessageUnsettled
    (message_id, attempt), tenant_id = settled.attempt, settled.tenant_id
    traceparent, started_at = settled.traceparent, settled.started_at
    match settled.outcome:
        case Sent(wamid):
            event = MessageSent(
                tenant_id=tenant_id,
                traceparent=traceparent,
                message_id=message_id,
                attempt=attempt,
                wamid=wamid,
                started_at=started_at,
            )
        case Refused(code, detail):
            event = MessageFailed(
                tenant_id=tenant_id,
                traceparent=traceparent,
                message_id=message_id,
                attempt=attempt,
                code=code,
                detail=detail,
                started_at=started_at,
            )
        case NotSent(code, _, counted):
            event = MessageDeferred(
                tenant_id=tenant_id,
                traceparent=traceparent,
                message_id=message_id,
                attempt=attempt,
                retry_at=settled.retry_at or started_at,
                code=code,
                counted=counted,
            )
        case Unknown(code):
            event = MessageUnsettled(
                tenant_id=tenant_id,
                traceparent=traceparent,
                message_id=message_id,
                attempt=attempt,
                code=code,
                started_at=started_at,
            )
    return event


_STATES: Final[dict[type[Outcome], str]] = {Sent: "sent", Refused: "failed", NotSent: "deferred", Unknown: "unknown"}


def _outcome(row: asyncpg.Record) -> Outcome:
    match row["state"]:
        case "sent":
            return Sent(row["wamid"])
        case "failed":
            return Refused(row["code"], row["detail"] or "")
        case "deferred":
            return NotSent(row["code"], None, row["counted"])
        case _:
            return Unknown(row["code"])


def _head(row: asyncpg.Record) -> tuple[AttemptId, TenantId, str | None, datetime]:
    attempt = AttemptId(MessageId(row["message_id"]), row["attempt"])
    return attempt, TenantId(row["tenant_id"]), row["traceparent"], row["started_at"]


def _columns(attempts: Sequence[AttemptId]) -> tuple[list[str], list[int]]:
    return [a.message_id for a in attempts], [a.attempt for a in attempts]
