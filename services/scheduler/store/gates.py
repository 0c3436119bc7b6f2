"""Gates and pauses: what keeps messages that are due from being released."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg

from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.values import Gate

sql = Queries(Path(__file__).with_name("queries.sql"))
CLOSE_GATES: Final = sql["close_gates"]
PRUNE_GATES: Final = sql["prune_gates"]
CLOSED_GATES: Final = sql["closed_gates"]
PAUSED_NUMBERS: Final = sql["paused_numbers"]


async def close(connection: Connection, gates: Sequence[Gate], longest: timedelta) -> None:
    """Close them, each given once, until their time and no longer than `longest`; one that is closed for longer stays so."""
    await connection.execute(
        CLOSE_GATES,
        [gate.scope for gate in gates],
        [int(gate.tier) for gate in gates],
        [int(gate.last_tier) for gate in gates],
        [gate.until for gate in gates],
        longest,
    )


async def prune(pool: Pool) -> None:
    """Forget those past their time."""
    await pool.execute(PRUNE_GATES)


async def closed(pool: Pool, *, limit: int) -> list[asyncpg.Record]:
    """Those closed now, the widest first: rows of scope, tier, last_tier, until."""
    return await pool.fetch(CLOSED_GATES, limit)


async def paused(pool: Pool, *, limit: int) -> list[asyncpg.Record]:
    """The numbers that release nothing: rows of number_id, code."""
    return await pool.fetch(PAUSED_NUMBERS, limit)
