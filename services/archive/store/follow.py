"""Following the rows of search: how far each follower has come."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.db.pool import Connection
from shared.db.queries import Queries

sql = Queries(Path(__file__).with_name("follow.sql"))
ALLOW_SECONDS: Final = sql["allow_seconds"]
START_FOLLOWING: Final = sql["start_following"]
CLAIM_FOLLOWER: Final = sql["claim_follower"]
ROWS_TO_FOLLOW: Final = sql["rows_to_follow"]
MOVE_FOLLOWER: Final = sql["move_follower"]


async def allow_seconds(connection: Connection, seconds: float) -> None:
    """Every statement of this transaction may take so long; the role's limit is for answers that somebody waits for."""
    await connection.execute(ALLOW_SECONDS, f"{seconds:.0f}s")


async def start(connection: Connection, name: str) -> None:
    """Have a row for the follower; it begins before all rows. Twice is safe."""
    await connection.execute(START_FOLLOWING, name)


async def claim(connection: Connection, name: str) -> int | None:
    """How far it has come, its row locked until the transaction ends; None where another process has it, or it was not started."""
    claimed: int | None = await connection.fetchval(CLAIM_FOLLOWER, name)
    return claimed


async def until(connection: Connection, after: int, rows: int) -> tuple[int, bool]:
    """Where about so many rows of whole, finished transactions end, and whether there is a row at all before that."""
    found = await connection.fetchrow(ROWS_TO_FOLLOW, after, rows)
    assert found is not None
    return found["until"], found["has_rows"]


async def move(connection: Connection, name: str, stored_in: int) -> None:
    """All of the transactions before `stored_in` is done."""
    await connection.execute(MOVE_FOLLOWER, name, stored_in)
