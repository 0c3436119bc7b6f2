"""Groups and their members over HTTP; the cache shows nothing from before a write."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
import redis.asyncio

from shared.db.pool import Pool
from shared.ids import new_id
from tests.integration.gateway import people
from tests.integration.gateway.people import Person
from tests.integration.gateway.serving import NO_REDIS, Answer, Gateway, Tenant, serving
from tests.support.database import Database, one_waits


@pytest.fixture(params=["cached", "without_redis"])
async def gateway(database: Database, redis_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    async with serving(database, redis_url if request.param == "cached" else NO_REDIS) as gateway:
        yield gateway


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def new_group(gateway: Gateway, tenant: Tenant, name: str = "Newsletter") -> str:
    answer = await gateway.call("POST", "/api/groups", {"name": name}, tenant)
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


async def add(gateway: Gateway, tenant: Tenant, group: str, **members: Any) -> Answer:
    return await gateway.call("POST", f"/api/groups/{group}/members", members, tenant)


async def members(gateway: Gateway, tenant: Tenant, group: str) -> list[dict[str, Any]]:
    """Read page by page."""
    found: list[dict[str, Any]] = []
    cursor = ""
    while True:
        answer = await gateway.call("GET", f"/api/groups/{group}/members?limit=2{cursor}", tenant=tenant)
        found += answer.body["data"]
        if "next_cursor" not in answer.body:
            return found
        cursor = f"&cursor={answer.body['next_cursor']}"


async def test_a_group_is_made_changed_and_deleted(gateway: Gateway, tenant: Tenant) -> None:
    body = {"name": "Newsletter", "description": "Weekly"}
    made = (await gateway.call("POST", "/api/groups", body, tenant)).body
    assert made["member_count"] == 0
    path = f"/api/groups/{made['id']}"
    assert (await gateway.call("GET", path, tenant=tenant)).body == made
    changed = await gateway.call("PATCH", path, {"name": "Weekly news"}, tenant)
    assert (changed.body["name"], changed.body["description"]) == ("Weekly news", "Weekly")
    assert (await gateway.call("GET", path, tenant=tenant)).body == changed.body
    assert "description" not in (await gateway.call("PATCH", path, {"description": None}, tenant)).body
    assert "description" not in (await gateway.call("GET", path, tenant=tenant)).body
    assert (await gateway.call("DELETE", path, tenant=tenant)).status == 204
    for method in ("GET", "DELETE"):
        answer = await gateway.call(method, path, tenant=tenant)
        assert (answer.status, answer.body["code"]) == (404, "group.unknown")
    assert (await gateway.call("PATCH", path, {"name": "x"}, tenant)).status == 404


async def test_what_is_read_often_is_kept_and_forgotten_with_every_write(
    database: Database, redis_url: str, pool: Pool
) -> None:
    async with serving(database, redis_url) as gateway, redis.asyncio.Redis.from_url(redis_url) as kept:
        tenant = await gateway.new_tenant()
        group = await new_group(gateway, tenant)
        (contact,) = await people.add(pool, tenant.tenant_id, [Person()])
        keys = {f"groups:{tenant.tenant_id}:{name}".encode(): seconds for name, seconds in ((group, 300), ("all", 600))}

        async def read() -> list[dict[str, Any]]:
            one = (await gateway.call("GET", f"/api/groups/{group}", tenant=tenant)).body
            return [one, *(await gateway.call("GET", "/api/groups", tenant=tenant)).body["data"]]

        for method, path, body in (
            ("PATCH", "", {"name": "Renamed"}),
            ("POST", "/members", {"contact_ids": [contact]}),
            ("POST", "/members/remove", {"contact_ids": [contact]}),
        ):
            before = await read()
            assert set(await kept.keys()) == set(keys)
            for key, seconds in keys.items():
                assert seconds - 10 < await kept.ttl(key) <= seconds
            # Behind the gateway's back: it is shown only where something else is asked than the cache.
            await pool.execute("UPDATE groups SET description = coalesce(description, '') || 'x'")
            assert await read() == before
            await gateway.call(method, f"/api/groups/{group}{path}", body, tenant)
            assert await kept.keys() == []
            after = await read()
            assert after[0] == after[1] != before[0]


async def test_the_list_has_every_group_in_pages_and_shows_each_write(gateway: Gateway, tenant: Tenant) -> None:
    async def listed(query: str = "") -> Any:
        return (await gateway.call("GET", f"/api/groups{query}", tenant=tenant)).body

    assert await listed() == {"data": []}
    ids = []
    for number in range(5):
        ids.append(await new_group(gateway, tenant, f"Group {number}"))
        assert [group["id"] for group in (await listed())["data"]] == ids
    first = await listed("?limit=2")
    second = await listed(f"?limit=2&cursor={first['next_cursor']}")
    third = await listed(f"?limit=3&cursor={second['next_cursor']}")
    assert [group["id"] for page in (first, second, third) for group in page["data"]] == ids
    assert "next_cursor" not in third
    assert [group["id"] for group in (await listed("?limit=500"))["data"]] == ids
    await gateway.call("PATCH", f"/api/groups/{ids[0]}", {"name": "Renamed"}, tenant)
    await gateway.call("DELETE", f"/api/groups/{ids[1]}", tenant=tenant)
    assert [group["name"] for group in (await listed())["data"]] == ["Renamed", "Group 2", "Group 3", "Group 4"]


async def test_members_come_by_id_and_by_phone_and_who_is_no_contact_is_named(
    gateway: Gateway, tenant: Tenant, pool: Pool
) -> None:
    one, two, three = await people.add(
        pool, tenant.tenant_id, [Person("+4915123456789", "Ada"), Person("+4915123456780"), Person(name="No phone")]
    )
    group = await new_group(gateway, tenant)
    stranger = new_id("ctc")
    answer = await add(
        gateway,
        tenant,
        group,
        contact_ids=[three, one, one, stranger],
        phones=["+49 151 23456780", "+4915123456789", "nobody", "+4915100000000"],
    )
    assert answer.status == 200, answer.text
    errors = [(fault["pointer"], fault["code"]) for fault in answer.body.pop("errors")]
    assert errors == [
        ("/contact_ids/3", "contact.unknown"),
        ("/phones/2", "phone.invalid"),
        ("/phones/3", "contact.unknown"),
    ]
    assert answer.body == {"added": 3, "unchanged": 0, "rejected": 3, "member_count": 3}
    again = await add(gateway, tenant, group, contact_ids=[one], phones=["+4915123456780"])
    assert again.body == {"added": 0, "unchanged": 2, "rejected": 0, "member_count": 3}
    found = await members(gateway, tenant, group)
    assert [(one["contact_id"], one.get("name"), one.get("phone")) for one in found] == [
        (one, "Ada", "+4915123456789"),
        (two, None, "+4915123456780"),
        (three, "No phone", None),
    ]
    gone = await gateway.call(
        "POST", f"/api/groups/{group}/members/remove", {"contact_ids": [three, stranger], "phones": ["+4915123456789"]}, tenant
    )
    assert gone.body == {"removed": 2, "member_count": 1}
    assert [one["contact_id"] for one in await members(gateway, tenant, group)] == [two]
    assert (await gateway.call("GET", f"/api/groups/{group}", tenant=tenant)).body["member_count"] == 1


async def test_the_number_of_members_is_right_however_they_come_and_go(gateway: Gateway, tenant: Tenant, pool: Pool) -> None:
    ids = await people.add(pool, tenant.tenant_id, [Person(phone) for phone in people.phones(60)])
    groups = [await new_group(gateway, tenant) for _ in range(2)]

    async def change(first: int, group: str) -> None:
        await add(gateway, tenant, group, contact_ids=ids[first : first + 20])
        removed = {"contact_ids": ids[first : first + 5]}
        await gateway.call("POST", f"/api/groups/{group}/members/remove", removed, tenant)

    async def erase(contact_id: str) -> None:
        await pool.execute("DELETE FROM contacts WHERE tenant_id = $1 AND id = $2", tenant.tenant_id, contact_id)

    async with asyncio.TaskGroup() as work:
        for first in range(0, 50, 5):
            for group in groups:
                work.create_task(change(first, group))
            work.create_task(erase(ids[first]))
    counted = dict(
        await pool.fetch("SELECT groups.id, count(contact_id) FROM groups LEFT JOIN group_members ON group_id = id GROUP BY 1")
    )
    kept = dict(await pool.fetch("SELECT id, member_count FROM groups"))
    assert kept == counted
    assert all(kept.values())


async def test_ten_thousand_members_at_once_and_no_more(gateway: Gateway, tenant: Tenant, pool: Pool) -> None:
    ids = await people.add(pool, tenant.tenant_id, [Person(phone) for phone in people.phones(10_000)])
    group = await new_group(gateway, tenant)
    assert (await add(gateway, tenant, group, contact_ids=[*ids[:5_000], ids[0]], phones=people.phones(5_000))).status == 422
    answer = await add(gateway, tenant, group, contact_ids=ids[:5_000], phones=people.phones(10_000)[5_000:])
    assert answer.body == {"added": 10_000, "unchanged": 0, "rejected": 0, "member_count": 10_000}


async def test_a_request_that_is_repeated_adds_once(gateway: Gateway, tenant: Tenant) -> None:
    key = {"Idempotency-Key": "a"}
    answers = [await gateway.call("POST", "/api/groups", {"name": "Once"}, tenant, **key) for _ in range(2)]
    assert answers[0].body == answers[1].body
    assert len((await gateway.call("GET", "/api/groups", tenant=tenant)).body["data"]) == 1


async def test_nobody_reaches_anothers_group_or_contacts(gateway: Gateway, tenant: Tenant, pool: Pool) -> None:
    other = await gateway.new_tenant("Other")
    (theirs,) = await people.add(pool, other.tenant_id, [Person("+15550000001")])
    group = await new_group(gateway, tenant)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("GET", "/members", None),
        ("POST", "/members", {"contact_ids": [theirs]}),
        ("POST", "/members/remove", {"contact_ids": [theirs]}),
    ):
        answer = await gateway.call(method, f"/api/groups/{group}{path}", body, other)
        assert (answer.status, answer.body["code"]) == (404, "group.unknown"), (method, path)
    answer = await add(gateway, tenant, group, contact_ids=[theirs], phones=["+15550000001"])
    assert (answer.body["added"], answer.body["rejected"]) == (0, 2)
    assert (await gateway.call("GET", "/api/groups", tenant=other)).body == {"data": []}


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {}, "/name"),
        ("", {"name": ""}, "/name"),
        ("", {"name": "a\0"}, "/name"),
        ("", {"name": "x" * 201}, "/name"),
        ("", {"name": "a", "members": []}, "/members"),
        ("/{group}/members", {}, ""),
        ("/{group}/members", {"phones": ["x" * 41]}, "/phones/0"),
        ("/{group}/members", {"contact_ids": [5]}, "/contact_ids/0"),
        ("/{group}/members", {"contact_ids": ["ctc_\0"]}, "/contact_ids/0"),
    ],
)
async def test_bad_input_is_refused_with_its_place(
    gateway: Gateway, tenant: Tenant, path: str, body: Any, pointer: str
) -> None:
    group = await new_group(gateway, tenant)
    answer = await gateway.call("POST", "/api/groups" + path.format(group=group), body, tenant)
    assert answer.status == 422, answer.text
    assert [fault["pointer"] for fault in answer.body["errors"]] == [pointer]


async def test_a_cursor_that_no_list_has_given_is_refused(gateway: Gateway, tenant: Tenant) -> None:
    group = await new_group(gateway, tenant)
    for path in ("/api/groups", f"/api/groups/{group}/members"):
        answer = await gateway.call("GET", f"{path}?cursor=nonsense", tenant=tenant)
        assert (answer.status, answer.body["code"]) == (400, "cursor.invalid")


async def test_a_group_that_is_deleted_while_members_come_is_unknown(gateway: Gateway, tenant: Tenant, pool: Pool) -> None:
    (contact,) = await people.add(pool, tenant.tenant_id, [Person()])
    group = await new_group(gateway, tenant)
    async with pool.acquire() as connection:
        deletion = connection.transaction()
        await deletion.start()
        await connection.execute("DELETE FROM groups WHERE id = $1", group)
        adding = asyncio.get_running_loop().create_task(add(gateway, tenant, group, contact_ids=[contact]))
        await one_waits(pool)
        await deletion.commit()
        assert (await adding).status == 404


async def test_members_go_with_their_group(gateway: Gateway, tenant: Tenant, pool: Pool) -> None:
    (contact,) = await people.add(pool, tenant.tenant_id, [Person()])
    group = await new_group(gateway, tenant)
    await add(gateway, tenant, group, contact_ids=[contact])
    await gateway.call("DELETE", f"/api/groups/{group}", tenant=tenant)
    assert await pool.fetchval("SELECT count(*) FROM group_members") == 0
    with pytest.raises(asyncpg.ForeignKeyViolationError):
        await pool.execute("INSERT INTO group_members VALUES ($1, $2, $3)", tenant.tenant_id, group, contact)


async def test_a_contact_that_is_erased_just_after_it_came_is_counted_no_more(
    database: Database, redis_url: str, pool: Pool
) -> None:
    async with serving(database, redis_url) as gateway:
        tenant = await gateway.new_tenant()
        group = await new_group(gateway, tenant)
        (contact,) = await people.add(pool, tenant.tenant_id, [Person()])
        async with pool.acquire() as connection, asyncio.TaskGroup() as tasks:
            coming = connection.transaction()
            await coming.start()
            await connection.execute("INSERT INTO group_members VALUES ($1, $2, $3)", tenant.tenant_id, group, contact)
            erasing = tasks.create_task(gateway.call("DELETE", f"/api/contacts/{contact}", tenant=tenant))
            await one_waits(pool)
            # What a reader may have seen and kept between the two commits.
            await connection.execute("UPDATE groups SET description = 'before'")
            await gateway.call("GET", f"/api/groups/{group}", tenant=tenant)
            await coming.commit()
        assert erasing.result().status == 204
        found = (await gateway.call("GET", f"/api/groups/{group}", tenant=tenant)).body
        assert (found["description"], found["member_count"]) == ("before", 0)
