"""Writing: months, entries, progress, and the totals of conversations, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import orjson

from services.archive.domain.analyzer import terms, tsvector_literal
from services.archive.domain.content import storable
from services.archive.domain.entry import Entry
from services.archive.domain.progress import Progress
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("queries.sql"))
ENSURE_MONTH: Final = sql["ensure_month"]
RECORD: Final = sql["record"]
FORGET_WITHOUT_ENTRY: Final = sql["forget_without_entry"]

INDEXED_CHARS: Final = 32_768
"""Far more than a message can have; bounds the tsvector, which PostgreSQL limits to 1 MB."""


async def ensure_month(connection: Connection | Pool, month: datetime) -> bool:
    """Make the month's partition; True where it was missing. Twice, or from two places at once, is safe."""
    return bool(await connection.fetchval(ENSURE_MONTH, month))


async def record(connection: Connection | Pool, facts: Sequence[Progress], entries: Sequence[Entry]) -> None:
    """Add up the progress, one fact a message, and store the entries that are new, one a message or wamid."""
    entry_ids = {(entry.tenant_id, entry.message_id): entry.id for entry in entries if entry.message_id}
    told = [(*fact, entry_ids.get((fact.tenant_id, fact.message_id))) for fact in facts]
    found = [(*entry, entry.preview, tsvector_of(entry.body)) for entry in entries]
    await connection.execute(RECORD, orjson.dumps(told).decode(), json_of(found))


def tsvector_of(body: str) -> str:
    """What a text is found by, as PostgreSQL spells it."""
    return tsvector_literal(terms(body[:INDEXED_CHARS]))


def json_of(rows: list[tuple[Any, ...]]) -> str:
    """The rows as PostgreSQL takes them: without U+0000."""
    text = orjson.dumps(rows).decode()
    return text if "\\u0000" not in text else orjson.dumps(storable(rows)).decode()


async def forget_without_entry(connection: Connection | Pool, *, days: int) -> int:
    """Delete what was told about messages that never came; returns how many, at most 10,000 at a time."""
    return int((await connection.execute(FORGET_WITHOUT_ENTRY, days)).rpartition(" ")[2])
