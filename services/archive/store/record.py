"""Writing: months, entries, progress, and the totals of conversations, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import orjson

from services.archive.domain.analyzer import terms, tsvector_literal
from services.archive.domain.entry import Entry
from services.archive.domain.progress import Progress
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import new_id

sql = Queries(Path(__file__).with_name("queries.sql"))
ENSURE_MONTH: Final = sql["ensure_month"]
OPEN_CONVERSATIONS: Final = sql["open_conversations"]
RECORD: Final = sql["record"]
FORGET_WITHOUT_ENTRY: Final = sql["forget_without_entry"]

INDEXED_CHARS: Final = 32_768
"""Far more than a message can have; bounds the tsvector, which PostgreSQL limits to 1 MB."""


async def ensure_month(connection: Connection | Pool, month: datetime) -> bool:
    """Make the month's partition; True where it was missing. Twice, or from two places at once, is safe."""
    return bool(await connection.fetchval(ENSURE_MONTH, month))


async def open_conversations(connection: Connection, entries: Sequence[Entry]) -> None:
    """Make the conversations these entries belong to, where they are missing."""
    keys = sorted({(entry.tenant_id, entry.number_id, entry.contact_phone) for entry in entries})
    tenants, numbers, phones = zip(*keys, strict=True)
    await connection.execute(OPEN_CONVERSATIONS, [new_id("cnv") for _ in keys], tenants, numbers, phones)


async def record(connection: Connection, facts: Sequence[Progress], entries: Sequence[Entry]) -> None:
    """Add up the progress, one fact a message, and store the entries that are new, one a message or wamid."""
    entry_ids = {(entry.tenant_id, entry.message_id): entry.id for entry in entries if entry.message_id}
    await connection.execute(
        RECORD,
        [fact.message_id for fact in facts],
        [fact.tenant_id for fact in facts],
        [fact.height for fact in facts],
        [fact.status for fact in facts],
        [fact.status_at for fact in facts],
        [fact.error_code for fact in facts],
        [fact.wamid for fact in facts],
        [fact.wamid_attempt for fact in facts],
        [entry_ids.get((fact.tenant_id, fact.message_id)) for fact in facts],
        [entry.id for entry in entries],
        [entry.sent_at for entry in entries],
        [entry.tenant_id for entry in entries],
        [entry.number_id for entry in entries],
        [entry.contact_phone for entry in entries],
        [entry.contact_name for entry in entries],
        [entry.direction for entry in entries],
        [entry.message_id for entry in entries],
        [entry.wamid for entry in entries],
        [entry.type for entry in entries],
        [entry.body for entry in entries],
        [orjson.dumps(entry.content).decode() for entry in entries],
        [entry.preview for entry in entries],
        [tsvector_literal(terms(entry.body[:INDEXED_CHARS])) for entry in entries],
    )


async def forget_without_entry(connection: Connection | Pool, *, days: int) -> int:
    """Delete what was told about messages that never came; returns how many, at most 10,000 at a time."""
    return int((await connection.execute(FORGET_WITHOUT_ENTRY, days)).rpartition(" ")[2])
