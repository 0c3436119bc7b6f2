"""Amending: what is said of entries later, kept until it is in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from services.archive.domain.amendment import Amendment
from services.archive.domain.indexing import content_literal
from services.archive.store.record import json_of
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("amendments.sql"))
NOTE_AMENDMENTS: Final = sql["note_amendments"]
AMEND: Final = sql["amend"]
FORGET_AMENDMENTS: Final = sql["forget_amendments"]


async def note(connection: Connection | Pool, facts: Sequence[Amendment], tenant_numbers: Mapping[TenantId, int]) -> None:
    """Keep amendments; they are due at once. Twice is safe. Each tenant of them must have a number."""
    await connection.execute(NOTE_AMENDMENTS, json_of([_row(fact, tenant_numbers[fact.tenant_id]) for fact in facts]))


class Amended(NamedTuple):
    """How many amendments were due, and of which conversations and tenants the entries are that are others now."""

    looked_at: int
    conversation_ids: Sequence[str]
    tenant_ids: Sequence[str]


async def amend(connection: Connection | Pool, *, limit: int) -> Amended:
    """Put at most `limit` amendments that are due into their entries, and those without one off."""
    row = await connection.fetchrow(AMEND, limit)
    return Amended(row["looked_at"], row["conversation_ids"], row["tenant_ids"]) if row else Amended(0, (), ())


async def forget(connection: Connection | Pool, *, days: int) -> int:
    """Delete amendments of entries that never came; returns how many, at most 10,000 at a time."""
    return int((await connection.execute(FORGET_AMENDMENTS, days)).rpartition(" ")[2])


def _row(fact: Amendment, tenant_no: int) -> tuple[Any, ...]:
    if fact.body is None or fact.type is None:  # not an edit
        return (*fact, None)
    return (*fact, content_literal(tenant_no, fact.body, fact.type))
