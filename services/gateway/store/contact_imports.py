"""Files of contacts on their way in: their records, what became of them, and what was wrong with them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import orjson

from services.gateway.domain.contact_csv import Layout, Record
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("contact_imports.sql"))
INSERT_IMPORT: Final = sql["insert_import"]
INSERT_CHUNK: Final = sql["insert_chunk"]
START_IMPORT: Final = sql["start_import"]
DISCARD_IMPORT: Final = sql["discard_import"]
LOCK_OPEN: Final = sql["lock_open_import"]
TAKE_CHUNK: Final = sql["take_chunk"]
COUNT_IMPORT: Final = sql["count_import"]
END_IMPORT: Final = sql["end_import"]
DELETE_CHUNKS: Final = sql["delete_chunks"]
LOCK_IMPORT: Final = sql["lock_import"]
SELECT_IMPORT: Final = sql["select_import"]
SELECT_IMPORTS: Final = sql["select_imports"]
SELECT_ERRORS: Final = sql["select_import_errors"]
DISCARD_ABANDONED: Final = sql["discard_abandoned"]
PRUNE_ERRORS: Final = sql["prune_import_errors"]
PRUNE_IMPORTS: Final = sql["prune_imports"]

AFTER_ALL: Final = "~"

LineFault = tuple[int, int, str, str, str]
"""Line, position among the line's faults, column, code, detail."""


async def insert(pool: Pool, tenant_id: TenantId, import_id: str, header: str, layout: Layout, region: str | None) -> None:
    """An import whose records are on their way."""
    columns = orjson.dumps([column.field for column in layout.columns]).decode()
    await pool.execute(INSERT_IMPORT, import_id, tenant_id, columns, header, layout.delimiter, region)


async def insert_chunk(pool: Pool, tenant_id: TenantId, import_id: str, number: int, records: Sequence[Record]) -> None:
    """Some of its records, durable when this returns."""
    await pool.execute(INSERT_CHUNK, tenant_id, import_id, number, orjson.dumps([tuple(record) for record in records]))


async def start(connection: Connection, tenant_id: TenantId, import_id: str, rows: int) -> asyncpg.Record:
    """All its records are there."""
    started = await connection.fetchrow(START_IMPORT, tenant_id, import_id, rows)
    assert started is not None
    return started


async def discard(pool: Pool, tenant_id: TenantId, import_id: str) -> None:
    """Forget one that has not been started; another stays."""
    await pool.execute(DISCARD_IMPORT, tenant_id, import_id)


async def lock_open(connection: Connection) -> asyncpg.Record | None:
    """An import with work to do, nobody else's until the transaction ends. Each has its turn."""
    return await connection.fetchrow(LOCK_OPEN)


class Chunk(NamedTuple):
    number: int
    records: list[Record]


async def take_chunk(connection: Connection, import_id: str, number: int | None = None) -> Chunk | None:
    """The next records of a locked import, or those of that number, which are deleted with the transaction."""
    row = await connection.fetchrow(TAKE_CHUNK, import_id, number)
    return None if row is None else Chunk(row["number"], [Record(*record) for record in orjson.loads(row["records"])])


async def count(
    connection: Connection, tenant_id: TenantId, import_id: str, counts: tuple[int, int, int, int], faults: Sequence[LineFault]
) -> None:
    """What became of a chunk: created, updated, unchanged, rejected; and the faults of its lines."""
    await connection.copy_records_to_table(
        "contact_import_errors",
        columns=("import_id", "line", "position", "field", "code", "detail"),
        records=[(import_id, *fault) for fault in faults],
    )
    await connection.execute(COUNT_IMPORT, tenant_id, import_id, *counts)


async def end(connection: Connection, tenant_id: TenantId, import_id: str, state: str) -> None:
    """A locked import is over; what is left of its records is forgotten."""
    await connection.execute(END_IMPORT, tenant_id, import_id, state)
    await connection.execute(DELETE_CHUNKS, import_id)


async def lock(connection: Connection, tenant_id: TenantId, import_id: str) -> asyncpg.Record | None:
    """The import, nobody else's to change until the transaction ends."""
    return await connection.fetchrow(LOCK_IMPORT, tenant_id, import_id)


async def find(connection: Connection | Pool, tenant_id: TenantId, import_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(SELECT_IMPORT, tenant_id, import_id)


async def page(pool: Pool, tenant_id: TenantId, *, before: str | None, limit: int) -> list[asyncpg.Record]:
    """The tenant's imports, newest first."""
    return await pool.fetch(SELECT_IMPORTS, tenant_id, before or AFTER_ALL, limit)


async def errors(pool: Pool, import_id: str, *, after: tuple[int, int], limit: int) -> list[asyncpg.Record]:
    """What was wrong, in the order of lines."""
    return await pool.fetch(SELECT_ERRORS, import_id, *after, limit)
