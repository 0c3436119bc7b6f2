"""Taking entries away, for whatever reason: with all that is kept of them, and off the totals of their conversations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from shared.db.pool import Connection
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("removal.sql"))
REMOVE_AMENDMENTS: Final = sql["remove_amendments"]
LOCK_ENTRIES: Final = sql["lock_entries"]
REMOVE_ENTRIES: Final = sql["remove_entries"]
SUBTRACT_ENTRIES: Final = sql["subtract_entries"]
RECOUNT_ENTRIES: Final = sql["recount_entries"]
REFRESH_TOTALS: Final = sql["refresh_totals"]

MAX_KEYS: Final = 5_000
"""Entries of one call: more would come near the longest time of a statement."""


async def remove(connection: Connection, keys: Sequence[tuple[str, datetime]]) -> list[str]:
    """Remove the entries with these ids and times, at most `MAX_KEYS`; gives the conversations that they were of, whose cached
    pages are then wrong. Entries that are not there are passed over.

    Within the caller's transaction, best alone in it: a second call in the same one could wait for an entry that somebody amends,
    who waits for a conversation of the first.
    """
    if not keys:
        return []
    if len(keys) > MAX_KEYS:
        raise ValueError(f"at most {MAX_KEYS} entries at a time")
    moments = [sent_at for _, sent_at in keys]
    named = [entry_id for entry_id, _ in keys], moments, min(moments), max(moments)
    await connection.execute(REMOVE_AMENDMENTS, *named)
    await connection.execute(LOCK_ENTRIES, *named)
    gone = await connection.fetch(REMOVE_ENTRIES, *named)
    if not gone:
        return []
    rows = await connection.fetch(SUBTRACT_ENTRIES, *([row[column] for row in gone] for column in range(3)))
    if stale := [row["id"] for row in rows if row["is_stale"]]:
        await connection.execute(REFRESH_TOTALS, stale)
    return [row["id"] for row in rows]


async def retotal(connection: Connection, conversation_ids: Sequence[str]) -> None:
    """Make the totals of conversations anew from their entries: after entries were added or taken away by other ways."""
    await connection.execute(RECOUNT_ENTRIES, list(conversation_ids))
    await connection.execute(REFRESH_TOTALS, list(conversation_ids))
