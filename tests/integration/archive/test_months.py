"""Months: made before their first entry, by whoever needs them, and again where they were taken away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from services.archive.domain.entry import month_of, next_month
from services.archive.domain.reading import NEWEST, ArchivedEntry
from services.archive.record import Recorder, prepare_months
from services.archive.store import read
from services.archive.store import record as store
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from tests.support.archive_events import TENANT, received
from tests.support.database import Database


async def entries_of(pool: Pool) -> list[ArchivedEntry]:
    """All entries of the tenant's one conversation, newest first."""
    (conversation,) = await read.conversations(pool, TENANT, NEWEST, 10)
    return await read.entries(pool, TENANT, conversation.id, NEWEST, 100)


class StandingClock:
    def __init__(self, moment: datetime) -> None:
        self._moment = moment

    def now(self) -> datetime:
        return self._moment

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


async def test_entries_go_to_their_month_however_odd_the_clock(pool: Pool, recorder: Recorder) -> None:
    years = [1970, 2011, 2026, 2099, 9000]
    await recorder.record(
        [
            received(f"wamid.{year}", str(year)).model_copy(update={"received_at": datetime(year, 6, 1, tzinfo=UTC)})
            for year in years
        ]
    )
    assert [entry.content["text"]["body"] for entry in await entries_of(pool)] == [str(year) for year in reversed(years)]


async def test_the_first_and_the_last_moment_of_a_month_are_of_that_month(pool: Pool, recorder: Recorder) -> None:
    ends = [datetime(2027, month, 1, tzinfo=UTC) - timedelta(microseconds=step) for month in (1, 2, 3) for step in (1, 0)]
    await recorder.record(
        [received(f"w{index}").model_copy(update={"received_at": moment}) for index, moment in enumerate(ends, 1)]
    )
    rows = await pool.fetch("SELECT right(tableoid::regclass::text, 7) AS month FROM entries ORDER BY sent_at")
    assert [row["month"] for row in rows] == ["2026_12", "2027_01", "2027_01", "2027_02", "2027_02", "2027_03"]


async def test_months_are_made_once_whoever_asks(pool: Pool) -> None:
    clock = StandingClock(datetime(2031, 12, 31, 23, 59, tzinfo=UTC))
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(prepare_months(Recorder(pool, Tenants(pool)), clock))
    assert not await store.ensure_month(pool, datetime(2031, 12, 5, tzinfo=UTC))
    assert not await store.ensure_month(pool, datetime(2032, 1, 31, tzinfo=UTC))
    assert await store.ensure_month(pool, datetime(2032, 2, 29, tzinfo=UTC))


async def test_a_month_that_was_taken_away_is_made_again(database: Database, pool: Pool, recorder: Recorder) -> None:
    await recorder.record([received("wamid.1", "one")])
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute("DROP TABLE archive.entries_2026_11")
    await admin.close()
    await recorder.record([received("wamid.2", "two", seconds=1)])
    assert [entry.wamid for entry in await entries_of(pool)] == ["wamid.2"]


def test_months_follow_each_other() -> None:
    month = month_of(datetime(2026, 1, 31, 23, tzinfo=UTC))
    for _ in range(24):
        following = next_month(month)
        assert following.day == 1
        assert timedelta(days=27) < following - month < timedelta(days=32)
        month = following
    assert month == datetime(2028, 1, 1, tzinfo=UTC)
