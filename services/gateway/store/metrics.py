"""What the tables tell about the gateway's load."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

from shared.db.pool import Pool
from shared.db.queries import Queries

_sql = Queries(Path(__file__).with_name("metrics.sql"))
MEASURE_WEBHOOKS: Final = _sql["measure_webhooks"]


class Webhooks(NamedTuple):
    """Payloads between the 200 and their events."""

    waiting: int
    oldest_seconds: float
    quarantined: int


async def webhooks(pool: Pool) -> Webhooks:
    """As of now."""
    (row,) = await pool.fetch(MEASURE_WEBHOOKS)
    return Webhooks(*row)
