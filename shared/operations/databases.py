"""A service's database, as far as its own role sees it: sizes, reads, what is slow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from shared.db.pool import Pool
from shared.db.queries import Queries
from shared.db.query_times import QueryTimes
from shared.operations.payloads import (
    DatabaseState,
    PoolState,
    SlowStatement,
    SlowStatements,
    TableState,
    UnusedIndex,
)

sql = Queries(Path(__file__).with_name("queries.sql"))
SELECT_DATABASE_SIZE: Final = sql["select_database_size"]
SELECT_TABLES: Final = sql["select_tables"]
SELECT_UNUSED_INDEXES: Final = sql["select_unused_indexes"]
HAS_STATEMENT_STATISTICS: Final = sql["has_statement_statistics"]
SELECT_STATEMENTS: Final = Queries(Path(__file__).with_name("statements.sql"))["select_statements"]

TABLES: Final = 20
INDEXES: Final = 20
STATEMENTS: Final = 10
REMEMBERED: Final = timedelta(hours=24)


async def database_state(pools: Mapping[str, Pool], times: Sequence[QueryTimes]) -> DatabaseState:
    """Asks on the first of the pools. Raises what asyncpg raises."""
    async with next(iter(pools.values())).acquire() as connection:
        size = await connection.fetchrow(SELECT_DATABASE_SIZE)
        tables = await connection.fetch(SELECT_TABLES, TABLES)
        indexes = await connection.fetch(SELECT_UNUSED_INDEXES, INDEXES)
        statements = None
        if await connection.fetchval(HAS_STATEMENT_STATISTICS):
            statements = await connection.fetch(SELECT_STATEMENTS, STATEMENTS)
    assert size is not None  # an aggregate always has a row
    return DatabaseState(
        pools=pool_states(pools),
        database_bytes=size["database_bytes"],
        schema_bytes=size["schema_bytes"],
        counted_since=size["counted_since"],
        tables=[
            TableState(
                name=row["name"],
                bytes=row["bytes"],
                live_rows=row["live_rows"],
                dead_rows=row["dead_rows"],
                seq_scans=row["seq_scan"],
                seq_rows_read=row["seq_tup_read"],
                index_scans=row["index_scans"],
                vacuumed_at=row["vacuumed_at"],
                analyzed_at=row["analyzed_at"],
            )
            for row in tables
        ],
        unused_indexes=[UnusedIndex(table=row["on_table"], name=row["name"], bytes=row["bytes"]) for row in indexes],
        slow_statements=SlowStatements(source="process", data=_slowest(times, datetime.now(UTC)))
        if statements is None
        else SlowStatements(source="pg_stat_statements", data=[SlowStatement(**dict(row)) for row in statements]),
    )


def pool_states(pools: Mapping[str, Pool]) -> list[PoolState]:
    """As they are in this process, now."""
    return [
        PoolState(
            name=name,
            in_use=pool.get_size() - pool.get_idle_size(),
            idle=pool.get_idle_size(),
            kept_open=pool.get_min_size(),
            most=pool.get_max_size(),
        )
        for name, pool in pools.items()
    ]


def _slowest(times: Sequence[QueryTimes], now: datetime) -> list[SlowStatement]:
    """What this process has noted, where the server keeps no figures."""
    found = defaultdict(list)
    for pool in times:
        for query in pool.slow:
            if now - query.at <= REMEMBERED:
                found[query.statement].append(query)
    slowest = [
        SlowStatement(
            statement=statement,
            calls=len(queries),
            mean_ms=round(sum(query.seconds for query in queries) / len(queries) * 1000, 1),
            longest_ms=round(max(query.seconds for query in queries) * 1000, 1),
            last_at=max(query.at for query in queries),
        )
        for statement, queries in found.items()
    ]
    return sorted(slowest, key=lambda one: one.mean_ms, reverse=True)[:STATEMENTS]
