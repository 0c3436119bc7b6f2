"""Amending: what is said of entries later, kept until it is in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.archive.domain.amendment import Amendment
from services.archive.store.record import json_of, tsvector_of
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("amendments.sql"))
NOTE_AMENDMENTS: Final = sql["note_amendments"]
AMEND: Final = sql["amend"]
FORGET_AMENDMENTS: Final = sql["forget_amendments"]


async def note(connection: Connection | Pool, facts: Sequence[Amendment]) -> None:
    """Keep amendments; they are due at once. Twice is safe."""
    rows = [(*fact, None if fact.body is None else tsvector_of(fact.body)) for fact in facts]
    await connection.execute(NOTE_AMENDMENTS, json_of(rows))


async def amend(connection: Connection | Pool, *, limit: int) -> int:
    """Put amendments that are due into their entries, those without one off; returns how many were due, at most `limit`."""
    return int(await connection.fetchval(AMEND, limit))


async def forget(connection: Connection | Pool, *, days: int) -> int:
    """Delete amendments of entries that never came; returns how many, at most 10,000 at a time."""
    return int((await connection.execute(FORGET_AMENDMENTS, days)).rpartition(" ")[2])
