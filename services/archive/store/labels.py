"""Labels on entries and conversations, each as `domain/label.py` folds it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg

from services.archive.domain.reading import Place
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("labels.sql"))
LABEL_ENTRIES: Final = sql["label_entries"]
UNLABEL_ENTRIES: Final = sql["unlabel_entries"]
LABEL_CONVERSATIONS: Final = sql["label_conversations"]
UNLABEL_CONVERSATIONS: Final = sql["unlabel_conversations"]
LABELS_OF_ENTRY: Final = sql["labels_of_entry"]
LABELS_OF_CONVERSATION: Final = sql["labels_of_conversation"]
HAS_ENTRY: Final = sql["has_entry"]
LABELS_PAGE: Final = sql["labels_page"]
LABEL_COUNTS: Final = sql["label_counts"]
LABELED_ENTRIES_PAGE: Final = sql["labeled_entries_page"]
LABELED_CONVERSATIONS_PAGE: Final = sql["labeled_conversations_page"]
RENAME_LABEL: Final = sql["rename_label"]
DELETE_LABEL: Final = sql["delete_label"]


class Taken(NamedTuple):
    """A label was taken off so many entries and conversations; the conversations of these entries."""

    things: int
    conversation_ids: Sequence[str]


async def label_entries(
    connection: Connection | Pool, tenant: TenantId, ids: Collection[str], labels: Collection[str], created_by: str | None
) -> dict[str, str]:
    """Put every label on every entry; those that are the tenant's, with their conversations. Twice is safe."""
    rows = await connection.fetch(LABEL_ENTRIES, tenant, list(ids), list(labels), created_by)
    return {row["id"]: row["conversation_id"] for row in rows}


async def unlabel_entries(
    connection: Connection | Pool, tenant: TenantId, ids: Collection[str], labels: Collection[str]
) -> list[str]:
    """Take every label off every entry; the conversations of those that had one."""
    return [row["id"] for row in await connection.fetch(UNLABEL_ENTRIES, tenant, list(ids), list(labels))]


async def label_conversations(
    connection: Connection | Pool, tenant: TenantId, ids: Collection[str], labels: Collection[str], created_by: str | None
) -> set[str]:
    """Put every label on every conversation; those that are the tenant's. Twice is safe."""
    rows = await connection.fetch(LABEL_CONVERSATIONS, tenant, list(ids), list(labels), created_by)
    return {row["id"] for row in rows}


async def unlabel_conversations(
    connection: Connection | Pool, tenant: TenantId, ids: Collection[str], labels: Collection[str]
) -> int:
    """Take every label off every conversation; how many were on."""
    count: int = await connection.fetchval(UNLABEL_CONVERSATIONS, tenant, list(ids), list(labels))
    return count


async def of_entry(pool: Pool, tenant: TenantId, entry_id: str) -> list[str] | None:
    """None where there is no such entry."""
    labels = [row["label"] for row in await pool.fetch(LABELS_OF_ENTRY, tenant, entry_id)]
    return labels if labels or await pool.fetchval(HAS_ENTRY, tenant, entry_id) else None


async def of_conversation(pool: Pool, tenant: TenantId, conversation_id: str) -> list[str]:
    return [row["label"] for row in await pool.fetch(LABELS_OF_CONVERSATION, tenant, conversation_id)]


async def page(pool: Pool, tenant_no: int, after: str, limit: int) -> Sequence[asyncpg.Record]:
    """By name, with counts."""
    return await pool.fetch(LABELS_PAGE, tenant_no, after, limit)


async def counts(connection: Connection | Pool, tenant_no: int, label: str) -> asyncpg.Record:
    """How many `entries` and `conversations` have it."""
    row = await connection.fetchrow(LABEL_COUNTS, tenant_no, label)
    assert row is not None
    return row


async def entries_page(pool: Pool, tenant_no: int, label: str, after: Place, limit: int) -> Sequence[asyncpg.Record]:
    """Newest first."""
    return await pool.fetch(LABELED_ENTRIES_PAGE, tenant_no, label, after.at, after.id, limit)


async def conversations_page(pool: Pool, tenant_no: int, label: str, below: int, limit: int) -> Sequence[asyncpg.Record]:
    """The last one that was begun first."""
    return await pool.fetch(LABELED_CONVERSATIONS_PAGE, tenant_no, label, below, limit)


async def rename(connection: Connection, tenant_no: int, label: str, name: str) -> Taken:
    """What it was on; where the other label is there already, they become one."""
    return _taken(await connection.fetchrow(RENAME_LABEL, tenant_no, label, name))


async def delete(connection: Connection | Pool, tenant_no: int, label: str) -> Taken:
    """What it was on."""
    return _taken(await connection.fetchrow(DELETE_LABEL, tenant_no, label))


def _taken(row: asyncpg.Record | None) -> Taken:
    assert row is not None
    return Taken(row["things"], row["conversation_ids"])
