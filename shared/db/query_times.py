"""How long the statements of a pool take, which of them were slow, and how busy its connections are."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from shared.telemetry.catalogue import DB_POOL_CONNECTIONS, DB_QUERY_DURATION_SECONDS, DB_SLOW_QUERIES_TOTAL
from shared.telemetry.metrics import Metrics, Reading

if TYPE_CHECKING:
    from asyncpg.connection import LoggedQuery

log = structlog.get_logger(__name__)

SLOW_SECONDS: Final = 0.5
KEPT_SLOW: Final = 200
_SHOWN_CHARACTERS: Final = 120


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """A statement's beginning, as it stands in the code: values are never part of it."""

    at: datetime
    seconds: float
    statement: str


class QueryTimes:
    """Of one pool in one process. asyncpg tells of each statement when it has ended, well or not, COPY left out; that costs 3 to
    7 µs, and the statement's arguments are let go at the loop's next turn."""

    def __init__(self, metrics: Metrics, pool: str) -> None:
        """`pool` is the name that the metrics show."""
        self.pool = pool
        self.slow: deque[SlowQuery] = deque(maxlen=KEPT_SLOW)
        """The latest, oldest first."""
        self._metrics = metrics
        metrics.count(DB_SLOW_QUERIES_TOTAL, pool, by=0)

    def watch(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        """Read its connections at each scrape."""

        async def read() -> Iterable[Reading]:
            idle, size = pool.get_idle_size(), pool.get_size()
            states = {"in_use": size - idle, "idle": idle, "max": pool.get_max_size()}
            return [Reading(DB_POOL_CONNECTIONS, count, (self.pool, state)) for state, count in states.items()]

        self._metrics.source(f"pool.{self.pool}", read)

    async def attach(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        """To a new connection, once."""
        connection.add_query_logger(self._note)

    def _note(self, query: LoggedQuery) -> None:
        self._metrics.observe(DB_QUERY_DURATION_SECONDS, query.elapsed, self.pool)
        if query.elapsed >= SLOW_SECONDS:
            statement = " ".join(query.query.split())[:_SHOWN_CHARACTERS]
            self._metrics.count(DB_SLOW_QUERIES_TOTAL, self.pool)
            self.slow.append(SlowQuery(datetime.now(UTC), query.elapsed, statement))
            log.warning("db.slow_query", pool=self.pool, statement=statement, duration_ms=round(query.elapsed * 1000))
