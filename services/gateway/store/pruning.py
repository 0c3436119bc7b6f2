"""What is old enough to be forgotten, a bounded number of rows at a time: the role's statement_timeout ends what takes longer."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Final

from shared.db.pool import Pool
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("queries.sql"))
PRUNE_INBOUND: Final = sql["prune_inbound"]
PRUNE_QUARANTINED: Final = sql["prune_quarantined"]
FORGET_PREVIOUS_SECRETS: Final = sql["forget_previous_secrets"]


async def prune(pool: Pool, query: str, *, age: timedelta, limit: int) -> bool:
    """Forget by one of the queries here; True where there may be more."""
    return (await pool.execute(query, age, limit)).rpartition(" ")[2] == str(limit)
