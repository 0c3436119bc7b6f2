"""What is too old goes, tenant by tenant and batch by batch; nothing else does, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from services.archive import retain
from services.archive.cache import Changes
from services.archive.record import Recorder
from services.archive.retain import Retention
from services.archive.store import retention as store
from services.archive.tenants import Tenants
from shared.clock import SystemClock
from shared.db.pool import Pool
from shared.ids import TenantId
from tests.support.archive_events import NOON, OTHER_TENANT, TENANT, received
from tests.support.database import Database

DAY = 86_400
END_WHO_WAITS_FOR_ME = """
SELECT pg_terminate_backend(pid) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
"""


class StandingClock:
    def __init__(self, moment: datetime = NOON) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        raise NotImplementedError


def retention_of(pool: Pool, *, months: int = 0) -> Retention:
    return Retention(pool, StandingClock(), Changes(), months=months)


async def keep(pool: Pool, days: int | None, tenant: TenantId = TENANT) -> None:
    numbers = await Tenants(pool).numbered({tenant})
    await store.set_retention(pool, numbers[tenant], days, "key")


async def ages(pool: Pool, tenant: TenantId = TENANT) -> list[int]:
    """How many days ago the tenant's entries were sent, the newest first."""
    rows = await pool.fetch("SELECT sent_at FROM entries WHERE tenant_id = $1 ORDER BY sent_at DESC", tenant)
    return [(NOON - row["sent_at"]).days for row in rows]


async def months(pool: Pool) -> set[str]:
    rows = await pool.fetch(
        "SELECT relname FROM pg_inherits JOIN pg_class ON oid = inhrelid WHERE inhparent = 'entries'::regclass"
    )
    return {row["relname"] for row in rows}


@pytest.fixture
async def history(pool: Pool, recorder: Recorder) -> None:
    """Of two tenants, an entry every ten days for 200 days, a conversation for each half."""
    for tenant in (TENANT, OTHER_TENANT):
        number = f"num_{tenant[4:]}"
        await recorder.record(
            [
                received(f"w{days}", seconds=-days * DAY, sender=f"+1555000{days // 100:04}", tenant=tenant, number=number)  # type: ignore[arg-type]
                for days in range(0, 200, 10)
            ]
        )


@pytest.mark.usefixtures("history")
async def test_what_is_older_than_its_tenant_wants_it_goes(pool: Pool) -> None:
    retention = retention_of(pool)
    assert not await retention.remove()
    await keep(pool, 95)
    while await retention.remove():
        pass
    assert await ages(pool) == list(range(0, 100, 10))
    assert len(await ages(pool, OTHER_TENANT)) == 20
    told = await store.retention(pool, TENANT)
    assert (told.days, told.removed_entries, told.removed_at) == (95, 10, NOON)
    assert await store.retention(pool, OTHER_TENANT) == (None, 0, None)
    assert await store.retention(pool, TenantId("tnt_nobody")) == (None, 0, None)


@pytest.mark.usefixtures("history")
async def test_a_batch_at_a_time_the_oldest_first(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retain, "BATCH", 4)
    await keep(pool, 95)
    retention = retention_of(pool)
    left = []
    while await retention.remove():
        left.append(await ages(pool))
    assert [found[-1] for found in left] == [150, 110, 90]
    assert (await store.retention(pool, TENANT)).removed_entries == 10


@pytest.mark.usefixtures("history")
async def test_several_at_once_remove_each_entry_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retain, "BATCH", 3)

    async def run() -> None:
        retention = retention_of(pool)
        while await retention.remove():
            pass

    for tenant in (TENANT, OTHER_TENANT):
        await keep(pool, 50, tenant)
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(run())
    await run()
    for tenant in (TENANT, OTHER_TENANT):
        assert await ages(pool, tenant) == [0, 10, 20, 30, 40, 50]
        assert (await store.retention(pool, tenant)).removed_entries == 14
    assert await pool.fetchval("SELECT sum(entry_count) FROM conversations") == 12


@pytest.mark.usefixtures("history")
async def test_the_platform_keeps_whole_months_and_the_stricter_rule_holds(pool: Pool) -> None:
    await keep(pool, 40)
    retention = retention_of(pool, months=2)  # since September 1, 80.5 days ago
    while await retention.remove():
        pass
    assert await ages(pool) == [0, 10, 20, 30, 40]
    assert await ages(pool, OTHER_TENANT) == [0, 10, 20, 30, 40, 50, 60, 70, 80]


@pytest.mark.usefixtures("history")
async def test_months_without_entries_are_dropped_and_made_again_when_needed(pool: Pool, recorder: Recorder) -> None:
    await recorder.ensure_months({datetime(2026, month, 1, tzinfo=UTC) for month in (10, 11, 12)})
    for tenant in (TENANT, OTHER_TENANT):
        await keep(pool, 95, tenant)
    retention = retention_of(pool)
    before = await months(pool)
    assert not await retention.tidy()
    while await retention.remove():
        pass
    while await retention.tidy():
        pass
    assert before - await months(pool) == {"entries_2026_05", "entries_2026_06", "entries_2026_07"}
    await recorder.record([received("new", seconds=-150 * DAY)])
    assert 150 in await ages(pool)


@pytest.mark.usefixtures("history")
async def test_a_month_that_others_use_is_left_for_another_time(database: Database, pool: Pool) -> None:
    await keep(pool, 95)
    await keep(pool, 95, OTHER_TENANT)
    retention = retention_of(pool)
    while await retention.remove():
        pass
    reader = await asyncpg.connect(database.admin_url)
    try:
        async with reader.transaction():
            await reader.fetch("SELECT FROM archive.entries LIMIT 1")
            before = await months(pool)
            assert not await retention.tidy()
            assert await months(pool) == before
        assert await retention.tidy()
    finally:
        await reader.close()


@pytest.mark.usefixtures("history")
async def test_conversations_that_are_empty_for_long_are_forgotten(pool: Pool) -> None:
    await keep(pool, 95)
    retention = retention_of(pool)
    while await retention.remove():
        pass
    await retention.tidy()
    assert await pool.fetchval("SELECT count(*) FROM conversations") == 4
    await pool.execute("UPDATE conversations SET created_at = now() - interval '2 days'")
    await retention.tidy()
    assert await pool.fetchval("SELECT count(*) FROM conversations") == 3


@pytest.mark.usefixtures("history")
async def test_a_removal_that_dies_leaves_whole_entries_behind(database: Database, pool: Pool) -> None:
    """The server ends the session in the middle, as it does when the process is killed; the next one goes on."""
    await keep(pool, 95)
    retention, admin = retention_of(pool), await asyncpg.connect(database.admin_url)
    try:
        holder = admin.transaction()
        await holder.start()
        await admin.execute("SELECT FROM archive.conversations FOR UPDATE")
        async with asyncio.TaskGroup() as group:
            removal = group.create_task(_failing(retention))
            async with asyncio.timeout(60):
                while not await admin.fetch(END_WHO_WAITS_FOR_ME):
                    assert not removal.done()
        await holder.rollback()
    finally:
        await admin.close()
    assert await pool.fetchval("SELECT count(*) FROM search_rows") == 40
    assert len(await ages(pool)) == 20
    assert (await store.retention(pool, TENANT)).removed_entries == 0
    while await retention.remove():
        pass
    assert await ages(pool) == list(range(0, 100, 10))
    assert await pool.fetchval("SELECT count(*) FROM search_rows") == 30


KILLED = """
import asyncio, sys
from pydantic import SecretStr
from services.archive import retain
from services.archive.cache import Changes
from shared.clock import SystemClock
from shared.config import DatabaseSettings
from shared.db.pool import open_pool

async def main():
    retain.BATCH = 2
    settings = DatabaseSettings(url=sys.argv[1], password=SecretStr(sys.argv[2]), pool_min=0)
    async with open_pool(settings, "archive") as pool:
        retention = retain.Retention(pool, SystemClock(), Changes(), months=1)
        while await retention.remove():
            print("removed", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def test_a_process_that_is_killed_leaves_whole_entries_behind(database: Database, pool: Pool, recorder: Recorder) -> None:
    await recorder.record(
        [received(f"w{index}", seconds=index - 400 * DAY, sender=f"+1555{index % 7:07}") for index in range(600)]
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, database.url, database.role_password, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        for _ in range(5):
            while b"removed" not in (line := await process.stdout.readline()):
                assert line, "it ended"
    process.kill()
    await process.wait()
    left = len(await ages(pool))
    assert left < 600
    for counted in (
        "SELECT count(*) FROM search_rows",
        "SELECT count(*) FROM incoming",
        "SELECT sum(entry_count) FROM conversations",
        "SELECT 600 - sum(entries) FROM retention_removals",
    ):
        assert await pool.fetchval(counted) == left, counted
    retention = Retention(pool, SystemClock(), Changes(), months=1)
    while await retention.remove():
        pass
    assert await ages(pool) == []
    assert await pool.fetchval("SELECT sum(entries) FROM retention_removals") == 600
    assert await pool.fetchval("SELECT count(*) FROM conversations WHERE last_entry_at IS NOT NULL OR unread_count > 0") == 0


async def _failing(retention: Retention) -> None:
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await retention.remove()


async def test_the_plan_goes_by_tenant_and_time(database: Database, pool: Pool) -> None:
    admin = await asyncpg.connect(database.admin_url)
    await admin.execute(
        """
        SET search_path = archive;
        INSERT INTO tenants (tenant_id) SELECT 'tnt_' || n FROM generate_series(1, 50) n;
        INSERT INTO search_rows (sent_at, conversation_no, tenant_no, is_outgoing, entry_id, type, body, tsv)
        SELECT now() - make_interval(mins => n), n % 500, n % 50 + 1, false, 'ent_' || n, 'text', '', ''
        FROM generate_series(1, 50000) n;
        ANALYZE search_rows; ANALYZE tenants;
        """
    )
    await admin.close()
    async with pool.acquire() as connection:
        for text, arguments in (
            (store.CLAIM_OVERDUE, (NOON, NOON)),
            (store.OVERDUE_ENTRIES, (7, NOON - timedelta(days=9), 2_000)),
        ):
            for mode in ("force_custom_plan", "force_generic_plan"):
                await connection.execute(f"SET plan_cache_mode = {mode}")
                shown = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {text}", *arguments))
                assert "search_rows_by_tenant" in shown, shown
                assert "Seq Scan on search_rows" not in shown, shown


async def test_no_month_is_dropped_before_its_time(pool: Pool, recorder: Recorder) -> None:
    await recorder.ensure_months({datetime(2026, month, 1, tzinfo=UTC) for month in range(1, 13)})
    dropped = []
    while (month := await store.drop_empty_month(pool, datetime(2026, 4, 1, tzinfo=UTC))) is not None:
        dropped.append(month)
    assert dropped == [date(2026, 1, 1), date(2026, 2, 1), date(2026, 3, 1)]
