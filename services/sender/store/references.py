"""Attempts, by the messages that others name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from services.sender.domain.reference import Found
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("references.sql"))
SENT_AS: Final = sql["sent_as"]

Name = tuple[str, str]
"""(tenant, message)."""
_OPEN: Final = ("submitting", "deferred")
_NOTHING: Final = Found()


async def find(connection: Connection | Pool, names: Sequence[Name]) -> list[Found]:
    """What is known of each of these."""
    rows = await connection.fetch(SENT_AS, [name[0] for name in names], [name[1] for name in names])
    found = {
        (row["tenant_id"], row["message_id"]): Found(row["wamid"], is_open=row["state"] in _OPEN, is_known=True) for row in rows
    }
    return [found.get(name, _NOTHING) for name in names]
