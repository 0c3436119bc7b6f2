"""Writing: months, entries, progress, and the totals of conversations, a batch at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from services.archive.domain.content import storable
from services.archive.domain.entry import Entry
from services.archive.domain.indexing import search_literal
from services.archive.domain.progress import Progress
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("queries.sql"))
ENSURE_MONTH: Final = sql["ensure_month"]
RECORD: Final = sql["record"]
CONVERSATIONS_OF_ENTRIES: Final = sql["conversations_of_entries"]
FORGET_WITHOUT_ENTRY: Final = sql["forget_without_entry"]


class Recorded(NamedTuple):
    """`conversation_ids`: of the entries that were new, of which there were `stored`."""

    conversation_ids: Sequence[str]
    stored: int


async def ensure_month(connection: Connection | Pool, month: datetime) -> bool:
    """Make the month's partition; True where it was missing. Twice, or from two places at once, is safe."""
    return bool(await connection.fetchval(ENSURE_MONTH, month))


async def record(
    connection: Connection | Pool, facts: Sequence[Progress], entries: Sequence[Entry], tenant_numbers: Mapping[TenantId, int]
) -> Recorded:
    """Add up the progress, one fact a message, and store the entries that are new, one a message or wamid. Each tenant of `entries`
    must have a number."""
    entry_ids = {(entry.tenant_id, entry.message_id): entry.id for entry in entries if entry.message_id}
    told = [(*fact, entry_ids.get((fact.tenant_id, fact.message_id))) for fact in facts]
    found = [_row(entry, tenant_numbers[entry.tenant_id]) for entry in entries]
    (row,) = await connection.fetch(RECORD, orjson.dumps(told).decode(), json_of(found))
    return Recorded(row["conversation_ids"], row["stored"])


async def conversations_of(connection: Connection | Pool, entries: Sequence[Entry]) -> list[str]:
    """The conversations that they stand in, new or known."""
    places = {(entry.tenant_id, entry.number_id, entry.contact_phone) for entry in entries}
    rows = await connection.fetch(CONVERSATIONS_OF_ENTRIES, *map(list, zip(*places, strict=True)))
    return [row["id"] for row in rows]


def _row(entry: Entry, tenant_no: int) -> tuple[Any, ...]:
    return (*entry, entry.preview, tenant_no, search_literal(tenant_no, entry.body, entry.type, entry.sent_at))


def json_of(rows: list[tuple[Any, ...]]) -> str:
    """The rows as PostgreSQL takes them: without U+0000."""
    text = orjson.dumps(rows).decode()
    return text if "\\u0000" not in text else orjson.dumps(storable(rows)).decode()


async def forget_without_entry(connection: Connection | Pool, *, days: int) -> int:
    """Delete what was told about messages that never came; returns how many, at most 10,000 at a time."""
    return int((await connection.execute(FORGET_WITHOUT_ENTRY, days)).rpartition(" ")[2])
