"""The groups that a file of contacts puts its rows into."""

from __future__ import annotations

import asyncio

import pytest

from services.gateway import contact_import
from shared.db.pool import Pool
from shared.ids import TenantId
from tests.integration.gateway.importing import ended, errors, imports_of, received, send
from tests.integration.gateway.serving import serving
from tests.support.database import Database, one_waits


async def members_of(pool: Pool) -> dict[str, list[str]]:
    """Phone numbers by the names of groups."""
    rows = await pool.fetch(
        """
        SELECT groups.id, groups.name, member_count, array_agg(value ORDER BY value) AS phones
        FROM groups JOIN group_members ON group_id = groups.id JOIN contact_identifiers USING (contact_id)
        GROUP BY 1, 2, 3
        """
    )
    assert all(row["member_count"] == len(row["phones"]) for row in rows)
    assert len({row["name"] for row in rows}) == len(rows)
    return {row["name"]: row["phones"] for row in rows}


async def test_a_file_puts_its_rows_into_groups_and_makes_those_that_are_not_there(
    database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contact_import, "CHUNK", 2)
    async with serving(database, redis_url) as gateway:
        tenant, other = await gateway.new_tenant(), await gateway.new_tenant("Other")
        await gateway.call("POST", "/api/groups", {"name": "News"}, other)
        oldest, younger = [(await gateway.call("POST", "/api/groups", {"name": "News"}, tenant)).body["id"] for _ in range(2)]
        assert len((await gateway.call("GET", "/api/groups", tenant=tenant)).body["data"]) == 2
        data = (
            b"phone,groups\n+15550000001,News;Gold\n+15550000002,Gold | Gold\n+15550000003,\noops,Silver\n+15550000001,Bronze\n"
            b"+15550000004," + b"x" * 201 + b"\n"
        )
        body = await ended(gateway, tenant, await send(gateway, tenant, data))
        assert (body["created"], body["unchanged"], body["rejected"]) == (3, 1, 2)
        assert await errors(gateway, tenant, body["id"]) == [
            (5, "phone", "phone.invalid"),
            (7, "groups", "field.too_long"),
        ]
        assert await members_of(gateway.pool) == {
            "News": ["+15550000001"],
            "Gold": ["+15550000001", "+15550000002"],
            "Bronze": ["+15550000001"],
        }
        # Shown at once, although both were read before.
        assert (await gateway.call("GET", f"/api/groups/{oldest}", tenant=tenant)).body["member_count"] == 1
        assert (await gateway.call("GET", f"/api/groups/{younger}", tenant=tenant)).body["member_count"] == 0
        listed = (await gateway.call("GET", "/api/groups", tenant=tenant)).body["data"]
        assert [(group["name"], group["member_count"]) for group in listed[:2]] == [("News", 1), ("News", 0)]
        assert {group["name"] for group in listed[2:]} == {"Gold", "Bronze"}


async def test_replicas_make_a_group_of_a_name_once(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_import, "CHUNK", 10)
    header, rows = b"phone,groups\n", [b"+1555000%04d,News|Gold" % n for n in range(80)]
    for part in range(4):
        await received(imports_of(pool), pool, TenantId("tnt_1"), header + b"\n".join(rows[part * 20 : part * 20 + 20]))

    async def replica() -> None:
        imports = imports_of(pool)
        while await imports.work():
            pass

    await asyncio.gather(*(replica() for _ in range(4)))
    while await imports_of(pool).work():
        pass
    phones = [row.partition(b",")[0].decode() for row in rows]
    assert await members_of(pool) == {"News": phones, "Gold": phones}


async def test_a_group_that_is_deleted_while_members_come_is_made_anew(pool: Pool) -> None:
    await received(imports_of(pool), pool, TenantId("tnt_1"), b"phone,groups\n+15550000001,News\n")
    await pool.execute("INSERT INTO groups (tenant_id, id, name) VALUES ('tnt_1', 'grp_1', 'News')")
    async with pool.acquire() as connection, asyncio.TaskGroup() as tasks:
        deletion = connection.transaction()
        await deletion.start()
        await connection.execute("DELETE FROM groups")
        working = tasks.create_task(imports_of(pool).work())
        await one_waits(pool)
        await deletion.commit()
    assert working.result()
    while await imports_of(pool).work():
        pass
    assert await members_of(pool) == {"News": ["+15550000001"]}
    assert tuple(await pool.fetchrow("SELECT state, created, rejected FROM contact_imports") or ()) == ("completed", 1, 0)
