"""A dump that is restored into a younger cluster: followers go on with new rows, and count no old one twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from services.archive.follow import Follower, Span
from shared.db.pool import Connection, Pool, open_pool
from tests.support.database import Database
from tests.support.following import all_ended

AHEAD = 10_000_000
"""Numbers of another cluster, which this one does not come to within a test."""
ROW = """
    INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
    VALUES (now(), 1, 1, true, $1, 'text', 'hello', '')
"""


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.settings_for("archive"), "archive") as pool:
        yield pool


async def restored(database: Database) -> int:
    """The function, as the owner calls it; what it returns."""
    owner = await asyncpg.connect(database.admin_url)
    try:
        raised: int = await owner.fetchval("SELECT archive.go_on_after_restore()")
    finally:
        await owner.close()
    return raised


class Taken:
    """A follower that notes the entries it was given."""

    def __init__(self, pool: Pool) -> None:
        self.entries: list[str] = []
        self._pool = pool
        self.follower = Follower(pool, "noting", self._note)

    async def _note(self, connection: Connection, span: Span) -> None:
        rows = await connection.fetch(
            "SELECT entry_id FROM search_rows WHERE stored_in >= $1 AND stored_in < $2 ORDER BY row_no", *span
        )
        self.entries += [row["entry_id"] for row in rows]

    async def all_there_is(self) -> list[str]:
        await all_ended(self._pool)
        await self.follower.catch_up()
        return self.entries


async def test_followers_go_on_in_a_younger_cluster(database: Database, pool: Pool) -> None:
    taken = Taken(pool)
    await taken.follower.step()  # makes its row
    await pool.execute(ROW, "ent_followed")
    assert await taken.all_there_is() == ["ent_followed"]
    await pool.execute(ROW, "ent_not_followed")
    # As a dump brings them: from transactions that are far ahead here.
    await pool.execute("UPDATE search_rows SET stored_in = stored_in + $1", AHEAD)
    await pool.execute("UPDATE followers SET stored_in = stored_in + $1", AHEAD)
    await pool.execute(ROW, "ent_lost")
    assert await taken.all_there_is() == ["ent_followed"], "this is what the function is for"
    await pool.execute("DELETE FROM search_rows WHERE entry_id = 'ent_lost'")

    raised = await restored(database)
    assert raised > 0
    await pool.execute(ROW, "ent_new")
    assert await taken.all_there_is() == ["ent_followed", "ent_not_followed", "ent_new"]
    assert await restored(database) == raised, "again changes nothing"
    await pool.execute(ROW, "ent_newer")
    assert (await taken.all_there_is())[3:] == ["ent_newer"]


async def test_where_transactions_went_on_nothing_changes(database: Database, pool: Pool) -> None:
    await pool.execute(ROW, "ent_1")
    assert await restored(database) == 0
