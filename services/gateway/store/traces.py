"""Kept spans, and the traces they make."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from services.gateway.traces.span import Span
from shared.db.pool import Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("traces.sql"))
INSERT_TRACES: Final = sql["insert_traces"]
PRUNE_SPANS: Final = sql["prune_spans"]
PRUNE_TRACES: Final = sql["prune_traces"]
SEARCH_TRACES: Final = sql["search_traces"]
SELECT_TRACE: Final = sql["select_trace"]
SELECT_SPANS: Final = sql["select_spans"]
SELECT_SPANS_OF_MESSAGE: Final = sql["select_spans_of_message"]
SELECT_LINKING: Final = sql["select_linking"]

_COLUMNS: Final = Span._fields[:-1]
_FIRST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(9999, 1, 1, tzinfo=UTC)
Key = tuple[datetime, bytes]
END: Final[Key] = (_LAST, b"")
"""Before which all traces are."""


@dataclass(slots=True)
class _Sum:
    """What some spans tell of their trace."""

    name: str
    service: str
    has_root: bool
    named_at: datetime
    tenant_id: str | None
    started_at: datetime
    ended_at: datetime
    longest_us: int = 0
    services: set[str] = field(default_factory=set)
    spans: int = 0
    failed: int = 0

    @classmethod
    def of(cls, span: Span) -> _Sum:
        return cls(
            span.name, span.service, span.parent_id is None, span.started_at, span.tenant_id, span.started_at, span.started_at
        )

    def add(self, span: Span) -> None:
        is_root = span.parent_id is None
        if (not is_root, span.started_at) < (not self.has_root, self.named_at):
            self.name, self.service, self.has_root, self.named_at = span.name, span.service, is_root, span.started_at
        self.tenant_id = self.tenant_id or span.tenant_id
        self.started_at = min(self.started_at, span.started_at)
        self.ended_at = max(self.ended_at, span.started_at + timedelta(microseconds=span.duration_us))
        self.longest_us = max(self.longest_us, span.duration_us)
        self.services.add(span.service)
        self.spans += 1
        self.failed += span.failed

    def row(self, trace_id: bytes) -> tuple[object, ...]:
        """As `insert_traces` takes it."""
        return (
            trace_id,
            self.name,
            self.service,
            self.has_root,
            self.named_at,
            self.tenant_id,
            self.started_at,
            self.ended_at,
            self.longest_us,
            " ".join(sorted(self.services)),
            self.spans,
            self.failed,
        )


async def insert(pool: Pool, spans: Sequence[Span]) -> None:
    """Keep them. A crash of the database's server may lose the last ones: nothing waits for its disk."""
    sums: dict[bytes, _Sum] = {}
    for span in spans:
        known = sums.get(span.trace_id)
        if known is None:
            known = sums[span.trace_id] = _Sum.of(span)
        known.add(span)
    rows = [one.row(trace_id) for trace_id, one in sorted(sums.items())]
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL synchronous_commit = off")
        await connection.copy_records_to_table("spans", columns=_COLUMNS, records=_records(spans))
        await connection.execute(INSERT_TRACES, *(list(column) for column in zip(*rows, strict=True)))


def _records(spans: Iterable[Span]) -> Iterable[tuple[object, ...]]:
    return (span[:-1] for span in spans)


async def prune(pool: Pool, *, keep: int, age: timedelta, limit: int) -> int:
    """Forget the oldest beyond `keep`, and those of that age; at most `limit`. Returns how many were forgotten."""
    return int(await pool.fetchval(PRUNE_SPANS, keep, age, limit))


async def prune_traces(pool: Pool, *, limit: int) -> None:
    """Forget those without a span."""
    await pool.execute(PRUNE_TRACES, limit)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What traces are asked for; None is any."""

    tenant_id: str | None = None
    message_id: str | None = None
    service: str | None = None
    has_failed: bool | None = None
    longer_than_us: int | None = None
    name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    with_batches: bool = True


async def search(pool: Pool, wanted: Wanted, *, before: Key, limit: int) -> list[asyncpg.Record]:
    """The newest first."""
    return await pool.fetch(
        SEARCH_TRACES,
        *before,
        wanted.since or _FIRST,
        wanted.until or _LAST,
        limit,
        wanted.tenant_id,
        wanted.message_id,
        wanted.service,
        wanted.has_failed,
        wanted.longer_than_us,
        wanted.name,
        wanted.with_batches,
    )


async def find(pool: Pool, trace_id: bytes) -> asyncpg.Record | None:
    """One trace in sum."""
    return await pool.fetchrow(SELECT_TRACE, trace_id)


async def spans_of(pool: Pool, trace_id: bytes, message_id: str | None, *, limit: int) -> list[asyncpg.Record]:
    """Its spans, the earliest first; of one message, where that is named."""
    if message_id is None:
        return await pool.fetch(SELECT_SPANS, trace_id, limit)
    return await pool.fetch(SELECT_SPANS_OF_MESSAGE, trace_id, limit, message_id)


async def linking(pool: Pool, trace_id: bytes, *, limit: int) -> list[asyncpg.Record]:
    """Spans of other traces that link to it, the last first."""
    return await pool.fetch(SELECT_LINKING, trace_id, limit)
