"""Attempts, in bulk: claimed before the call, settled after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import orjson

from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, PauseNumber, PauseTemplate, Rejected, Retry, Sent, Unknown
from shared.db.pool import Connection
from shared.db.queries import Queries
from shared.events.catalogue import MessageReleased
from shared.events.values import Gate
from shared.ids import MessageId, TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
CLAIM_ATTEMPTS: Final = sql["claim_attempts"]
DEFER_ATTEMPTS: Final = sql["defer_attempts"]
SETTLED_ATTEMPTS: Final = sql["settled_attempts"]
RECORD_OUTCOMES: Final = sql["record_outcomes"]
SETTLE_BY_REPORT: Final = sql["settle_by_report"]
OPEN_ATTEMPTS_OF: Final = sql["open_attempts_of"]
EXPIRED_ATTEMPTS: Final = sql["expired_attempts"]
RESEND_UNKNOWN: Final = sql["resend_unknown"]
TELL_UNCONFIRMED: Final = sql["tell_unconfirmed"]
PRUNE_ATTEMPTS: Final = sql["prune_attempts"]

RESENT: Final = "unknown.resent"
UNCONFIRMED: Final = "unknown.unconfirmed"


class Head(NamedTuple):
    """An attempt without its outcome. `released_at` is None from before that was written down."""

    attempt: AttemptId
    tenant_id: TenantId
    traceparent: str | None
    started_at: datetime
    released_at: datetime | None


class Settled(NamedTuple):
    """An attempt and how it ended. `retry_at` is set where it is made again; `gate` says what else must wait."""

    head: Head
    outcome: Outcome
    retry_at: datetime | None = None
    gate: Gate | None = None


class PutDown(NamedTuple):
    """A released message that is not even claimed, because something closes its way until `retry_at`."""

    event: MessageReleased
    code: str
    retry_at: datetime
    gate: Gate | None


async def claim(
    connection: Connection, released: Sequence[MessageReleased], *, instance: str, lease_seconds: float
) -> set[AttemptId]:
    """Write the intent; returns the attempts that are this process's to make. The caller holds none of them already; what it does
    not get was claimed or settled before."""
    wanted = [(e.message_id, e.attempt, e.tenant_id, e.number_id, e.traceparent, e.on_unknown, e.occurred_at) for e in released]
    return ids_of(await connection.fetch(CLAIM_ATTEMPTS, orjson.dumps(wanted).decode(), instance, lease_seconds))


async def defer(connection: Connection, put_down: Sequence[PutDown], *, instance: str) -> set[AttemptId]:
    """Put attempts down, unmade, until their time: written like the others, so that a second telling of one cannot make it. Returns
    those that were new."""
    events = [down.event for down in put_down]
    rows = await connection.fetch(
        DEFER_ATTEMPTS,
        [event.message_id for event in events],
        [event.attempt for event in events],
        [event.tenant_id for event in events],
        [event.number_id for event in events],
        [event.traceparent for event in events],
        [event.occurred_at for event in events],
        [down.retry_at for down in put_down],
        [down.code for down in put_down],
        instance,
    )
    return ids_of(rows)


async def record(connection: Connection, settled: Sequence[Settled]) -> set[AttemptId]:
    """Write the outcomes; returns those that were new. An attempt that was settled already stays as it is."""
    endings = orjson.dumps([_ending(one) for one in settled]).decode()
    return ids_of(await connection.fetch(RECORD_OUTCOMES, endings, len(settled)))


def _ending(settled: Settled) -> tuple[object, ...]:
    """What is written down of it: state, wamid, code, detail, retry time, whether it counts, and when the call began."""
    (message_id, attempt), _, _, started_at, _ = settled.head
    outcome = settled.outcome
    if isinstance(outcome, Sent):
        return message_id, attempt, "sent", outcome.wamid, None, None, None, False, started_at
    detail = outcome.detail if isinstance(outcome, Rejected | PauseNumber) else None
    counted = outcome.counted if isinstance(outcome, Retry) else isinstance(outcome, Unknown)
    return message_id, attempt, _STATES[type(outcome)], None, outcome.code, detail, settled.retry_at, counted, started_at


async def outcomes(connection: Connection, attempts: Sequence[AttemptId]) -> list[Settled]:
    """How those that have ended ended."""
    rows = await connection.fetch(SETTLED_ATTEMPTS, *_columns(attempts))
    return [Settled(head_of(row), _outcome(row), row["retry_at"]) for row in rows]


async def settle_by_report(connection: Connection, reports: Sequence[tuple[AttemptId, str]]) -> list[Settled]:
    """A report proves that the provider has the message: settle what was open; returns that."""
    wamids = [wamid for _, wamid in reports]
    rows = await connection.fetch(SETTLE_BY_REPORT, *_columns([attempt for attempt, _ in reports]), wamids)
    return [Settled(head_of(row), Sent(row["wamid"])) for row in rows]


async def open_of(connection: Connection, instance: str) -> list[Head]:
    """What a process that is gone left open."""
    return [head_of(row) for row in await connection.fetch(OPEN_ATTEMPTS_OF, instance)]


async def expired(connection: Connection, *, limit: int) -> list[Head]:
    """What nobody has been heard of within the lease."""
    return [head_of(row) for row in await connection.fetch(EXPIRED_ATTEMPTS, limit)]


async def resend_unknown(connection: Connection, *, grace_seconds: float, limit: int) -> list[Settled]:
    """Put back what nobody has reported on in the grace time and shall be sent again then; once a message."""
    rows = await connection.fetch(RESEND_UNKNOWN, grace_seconds, limit)
    return [Settled(head_of(row), Retry(RESENT, counted=False), row["retry_at"]) for row in rows]


async def tell_unconfirmed(connection: Connection, *, grace_seconds: float, limit: int) -> list[Settled]:
    """What nobody has reported on in the grace time and is not sent again; each once."""
    rows = await connection.fetch(TELL_UNCONFIRMED, grace_seconds, limit)
    return [Settled(head_of(row), Unknown(UNCONFIRMED)) for row in rows]


async def prune(connection: Connection, *, days: int, limit: int) -> int:
    """Forget old attempts; returns how many."""
    return int((await connection.execute(PRUNE_ATTEMPTS, days, limit)).rpartition(" ")[2])


_STATES: Final[dict[type[Outcome], str]] = {
    Sent: "sent",
    Rejected: "failed",
    Retry: "deferred",
    PauseNumber: "deferred",
    PauseTemplate: "deferred",
    Unknown: "unknown",
}


def told_as(outcome: Outcome) -> tuple[str, str]:
    """An outcome's state and code, as they are written down; no code where it was sent."""
    return _STATES[type(outcome)], "" if isinstance(outcome, Sent) else outcome.code


def _outcome(row: asyncpg.Record) -> Outcome:
    match row["state"]:
        case "sent":
            return Sent(row["wamid"])
        case "failed":
            return Rejected(row["code"], row["detail"] or "")
        case "deferred":
            return Retry(row["code"], None, row["counted"])
        case _:
            return Unknown(row["code"])


def head_of(row: asyncpg.Record) -> Head:
    """From its columns."""
    attempt = AttemptId(MessageId(row["message_id"]), row["attempt"])
    return Head(attempt, TenantId(row["tenant_id"]), row["traceparent"], row["started_at"], row["released_at"])


def ids_of(rows: Iterable[asyncpg.Record]) -> set[AttemptId]:
    """Of rows of two columns, message_id and attempt."""
    return set(map(AttemptId._make, rows))


def _columns(attempts: Sequence[AttemptId]) -> tuple[list[str], list[int]]:
    return [a.message_id for a in attempts], [a.attempt for a in attempts]
