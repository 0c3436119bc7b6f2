"""Imports that end otherwise than they should: canceled while media are written, taken back two at a time, without their file."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from services.archive.domain.importing import ImportState
from services.archive.imports import upload
from services.archive.store import blocks
from services.archive.store import imports as store
from services.archive.store.imports import Import, Part, PartGone
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.ids import TenantId
from tests.integration.archive.importing import Importing, android, chat, importing
from tests.support.archive_events import OTHER_TENANT, TENANT
from tests.support.database import Database

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
async def archive(database: Database, redis_url: str, tmp_path: Path) -> AsyncIterator[Importing]:
    async with importing(database, redis_url, tmp_path / "objects") as archive:
        yield archive


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(database.admin_url, server_settings={"search_path": "archive"})
    yield connection
    await connection.close()


async def test_of_two_that_are_taken_back_none_inherits_from_the_other(
    archive: Importing, admin: asyncpg.Connection[Any]
) -> None:
    first = await archive.imported(android(chat(30)), title="Ana")
    second = await archive.imported(android(chat(30)), title="Ana")
    await admin.execute("UPDATE imports SET state = 'undoing', leased_until = 'infinity' WHERE id = $1", second["id"])
    await archive.ask("POST", f"/api/imports/{first['id']}/undo")
    assert (await archive.until(first["id"], "undone"))["undone_count"] == 30
    assert await admin.fetchval("SELECT count(*) FROM entries") == 0
    assert await admin.fetchval("SELECT count(*) FROM import_keys") == 0


async def test_nothing_is_written_for_one_that_was_ended(
    archive: Importing, pool: Pool, admin: asyncpg.Connection[Any]
) -> None:
    made = await archive.hand_over(android(chat(3)), preview="true")
    await archive.until(made, "ready")
    number = await admin.fetchval(
        "UPDATE imports SET state = 'importing', lease_id = 'lse_1', leased_until = 'infinity' WHERE id = $1 RETURNING import_no",
        made,
    )
    assert await blocks.expect_media(pool, "imports/a/media/1", number, "lse_1")
    status, _, _ = await archive.ask("POST", f"/api/imports/{made}/cancel")
    assert status == 200
    assert not await blocks.expect_media(pool, "imports/a/media/2", number, "lse_1")
    rows = await admin.fetch("SELECT object_key, remove_at > now() AS is_later FROM import_objects WHERE start_offset IS NULL")
    assert [tuple(row) for row in rows] == [("imports/a/media/1", True)]  # whoever writes it may not know yet


async def test_one_without_its_file_fails_and_says_so(archive: Importing) -> None:
    made = await archive.hand_over(android(chat(30)), preview="true")
    await archive.until(made, "ready")
    shutil.rmtree(archive.objects / "imports")
    await archive.ask("POST", f"/api/imports/{made}/start")
    failed = await archive.until(made, "failed")
    assert failed["error"]["code"] == "import.file_gone"


async def test_a_start_that_comes_twice_is_one(archive: Importing) -> None:
    made = await archive.hand_over(android(chat(30)), preview="true")
    await archive.until(made, "ready")
    for _ in range(2):
        status, started, _ = await archive.ask("POST", f"/api/imports/{made}/start", json={"title": "Ana", "me": ["Bo"]})
        assert status == 200, started
    await archive.until(made, "completed")
    status, problem, _ = await archive.ask("POST", f"/api/imports/{made}/start", json={"title": "Ana", "me": ["Ana"]})
    assert (status, problem["code"]) == (409, "import.not_ready")


async def test_lines_that_are_not_understood_are_stored_as_they_come(archive: Importing) -> None:
    bad = "".join(f"41/13/2024, 09:00 - Ana: {number}\n" for number in range(500)).encode()
    done = await archive.imported(b"".join(line + bad for line in android(chat(60)).splitlines(keepends=True)), title="Ana")
    assert (done["entry_count"], done["doubt_count"]) == (60, 30_000)


async def test_a_part_that_comes_too_late_is_not_taken_for_one(
    pool: Pool, archive: Importing, admin: asyncpg.Connection[Any]
) -> None:
    _, made, _ = await archive.ask("POST", "/api/imports", json={"file_name": "a.txt"})
    await admin.execute(
        "INSERT INTO import_objects (object_key, import_no, remove_at)"
        " SELECT 'part', import_no, now() + interval '4 minutes' FROM imports WHERE id = $1",
        made["id"],
    )
    async with pool.acquire() as connection, connection.transaction():
        found = await store.lock(connection, TENANT, made["id"])
        assert found is not None
        with pytest.raises(PartGone):
            await store.receive(connection, found, Part("part", 0, 10), is_all=False)


async def wait_for_work(pool: Pool, tenants: Tenants, *imports: tuple[str, TenantId]) -> None:
    """Imports of tenants that are to be surveyed, in this order."""
    numbers = await tenants.numbered({tenant for _, tenant in imports})
    for place, (import_id, tenant) in enumerate(imports):
        await pool.execute(
            """
            INSERT INTO imports (id, tenant_id, tenant_no, state, file_name, options, leased_until)
            VALUES ($1, $2, $3, 'surveying', 'chat.txt', '{}', now() - interval '1 hour' + make_interval(secs => $4))
            """,
            import_id,
            tenant,
            numbers[tenant],
            place,
        )


async def claimed(pool: Pool) -> Import:
    found = await store.claim(pool, "lse_1", 60)
    assert found is not None
    return found


async def test_no_tenant_waits_for_all_that_another_handed_over(pool: Pool, tenants: Tenants) -> None:
    await wait_for_work(
        pool,
        tenants,
        ("imp_a1", TENANT),
        ("imp_a2", TENANT),
        ("imp_a3", TENANT),
        ("imp_b1", OTHER_TENANT),
        ("imp_b2", OTHER_TENANT),
    )
    assert [(await claimed(pool)).id for _ in range(5)] == ["imp_a1", "imp_b1", "imp_a2", "imp_b2", "imp_a3"]
    assert await store.claim(pool, "lse_1", 60) is None


async def test_tenants_take_turns_where_one_works(pool: Pool, tenants: Tenants) -> None:
    await wait_for_work(pool, tenants, ("imp_a1", TENANT), ("imp_a2", TENANT), ("imp_b1", OTHER_TENANT))
    turns = []
    for _ in range(6):
        found = await claimed(pool)
        turns.append((found.id, found.state))
        if found.state is ImportState.SURVEYING:
            assert await store.surveyed(pool, found.import_no, "lse_1", {"survey": {}}, 1, ImportState.IMPORTING)
        else:
            async with pool.acquire() as connection, connection.transaction():
                assert await store.end_leased(connection, found.import_no, "lse_1", ImportState.COMPLETED)
    assert [import_id[:5] for import_id, _ in turns[:4]] == ["imp_a", "imp_b", "imp_a", "imp_b"]
    assert [state for import_id, state in turns if import_id == "imp_a1"] == [ImportState.SURVEYING, ImportState.IMPORTING]


async def test_a_tenant_has_so_many_at_most_that_are_not_done(
    archive: Importing, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upload, "MOST_OPEN", 2)
    announced = {"file_name": "chat.txt", "size_bytes": 10}
    made = [(await archive.ask("POST", "/api/imports", json=announced))[1]["id"] for _ in range(2)]
    for more in ({"json": announced}, {"data": android(chat(1))}):
        status, problem, headers = await archive.ask("POST", "/api/imports", **more)
        assert (status, problem["code"]) == (429, "import.too_many")
        assert headers["Retry-After"] == "30"
    assert (await archive.ask("POST", "/api/imports", json=announced, tenant=OTHER_TENANT))[0] == 201
    assert (await archive.ask("POST", f"/api/imports/{made[0]}/cancel"))[0] == 200
    await archive.imported(android(chat(1)))
    assert await pool.fetchval("SELECT count(*) FROM imports WHERE tenant_id = $1", TENANT) == 3
