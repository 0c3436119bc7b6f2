"""The sender's own record of the numbers, kept from events."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.catalogue import NumberConnected

sql = Queries(Path(__file__).with_name("queries.sql"))
UPSERT_NUMBER: Final = sql["upsert_number"]
SELECT_NUMBERS: Final = sql["select_numbers"]


async def upsert(connection: Connection, event: NumberConnected) -> None:
    """The number's record, unless a later revision is known."""
    await connection.execute(
        UPSERT_NUMBER,
        event.number_id,
        event.tenant_id,
        event.revision,
        event.phone_number_id,
        event.provider_url,
        event.sealed_access_token,
        event.messages_per_second,
    )


async def select(pool: Pool, number_ids: Sequence[str]) -> list[asyncpg.Record]:
    """The records of those that are known."""
    return await pool.fetch(SELECT_NUMBERS, list(number_ids))
