"""Segments over HTTP."""

from __future__ import annotations

from typing import Any, Final

import pytest

from services.gateway import segments
from services.gateway.store import segments as store
from shared.db.pool import Connection, Pool
from shared.ids import TenantId, new_id
from tests.integration.gateway import people
from tests.integration.gateway.people import Person
from tests.integration.gateway.serving import Gateway, Tenant

BERLIN: Final = {"all": [{"field": "attribute.city", "operator": "is", "value": "Berlin"}]}


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def new_segment(gateway: Gateway, tenant: Tenant, name: str = "Berlin") -> str:
    answer = await gateway.call("POST", "/api/segments", {"name": name, "filter": BERLIN}, tenant)
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


async def test_a_segment_is_saved_changed_and_deleted(gateway: Gateway, tenant: Tenant) -> None:
    segment = await new_segment(gateway, tenant)
    path = f"/api/segments/{segment}"
    found = (await gateway.call("GET", path, tenant=tenant)).body
    assert (found["name"], found["filter"]) == ("Berlin", BERLIN)
    other = {"field": "name", "operator": "exists"}
    assert (await gateway.call("PATCH", path, {"filter": other}, tenant)).body["filter"] == other
    changed = await gateway.call("PATCH", path, {"name": "Named"}, tenant)
    assert (changed.body["name"], changed.body["filter"]) == ("Named", other)
    assert (await gateway.call("GET", path, tenant=tenant)).body == changed.body
    assert (await gateway.call("DELETE", path, tenant=tenant)).status == 204
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/count")):
        answer = await gateway.call(method, path + rest, tenant=tenant)
        assert (answer.status, answer.body["code"]) == (404, "segment.unknown")
    assert (await gateway.call("PATCH", path, {"name": "x"}, tenant)).status == 404


async def test_the_list_has_every_segment_in_pages(gateway: Gateway, tenant: Tenant) -> None:
    ids = [await new_segment(gateway, tenant, str(number)) for number in range(3)]
    first = (await gateway.call("GET", "/api/segments?limit=2", tenant=tenant)).body
    second = (await gateway.call("GET", f"/api/segments?limit=2&cursor={first['next_cursor']}", tenant=tenant)).body
    assert [one["id"] for page in (first, second) for one in page["data"]] == ids
    assert "next_cursor" not in second
    assert (await gateway.call("GET", "/api/segments?cursor=x", tenant=tenant)).status == 400


async def test_a_filter_is_tried_and_a_segment_counted(gateway: Gateway, tenant: Tenant, pool: Pool) -> None:
    cities = ["Rome", "Berlin", "Paris"]
    ids = await people.add(pool, tenant.tenant_id, [Person(attributes={"city": cities[n % 3]}) for n in range(50)])
    await people.add(pool, "tnt_other", [Person(attributes={"city": "Berlin"})])
    expected = {"count": 17, "contact_ids": ids[1::3][:10]}
    answer = await gateway.call("POST", "/api/segments/preview", {"filter": BERLIN}, tenant)
    assert (answer.status, answer.body) == (200, expected)
    segment = await new_segment(gateway, tenant)
    assert (await gateway.call("GET", f"/api/segments/{segment}/count", tenant=tenant)).body == expected
    a_few_at_a_time = await segments.preview(pool, TenantId(tenant.tenant_id), BERLIN, scanned=7)
    assert a_few_at_a_time.model_dump() == expected
    nobody = {"filter": {"field": "name", "operator": "exists"}}
    assert (await gateway.call("POST", "/api/segments/preview", nobody, tenant)).body == {"count": 0, "contact_ids": []}


class Busy:
    """A connection behind whose every statement somebody else erases the first contacts."""

    def __init__(self, connection: Connection, ids: list[str]) -> None:
        self._connection = connection
        self._ids = ids

    async def _erase(self) -> None:
        gone, self._ids = self._ids[:2], self._ids[2:]
        await self._connection.execute("DELETE FROM contacts WHERE id = ANY($1)", gone)

    async def fetch(self, query: str, *arguments: object) -> Any:
        try:
            return await self._connection.fetch(query, *arguments)
        finally:
            await self._erase()

    async def fetchrow(self, query: str, *arguments: object) -> Any:
        return next(iter(await self.fetch(query, *arguments)), None)

    async def fetchval(self, query: str, *arguments: object) -> Any:
        row = await self.fetchrow(query, *arguments)
        return None if row is None else row[0]


async def test_nobody_is_passed_over_because_others_are_erased_while_a_filter_is_read(pool: Pool) -> None:
    ids = await people.add(pool, "tnt_1", [Person(attributes={"n": n}) for n in range(12)])
    node = segments.checked({"field": "attribute.n", "operator": "greater_than", "value": 3})
    async with pool.acquire() as connection:
        busy: Any = Busy(connection, ids[:4])
        found: list[str] = []
        after: str | None = ""
        while after is not None:
            some, after = await store.matching(busy, TenantId("tnt_1"), node, after=after, limit=50, scanned=4)
            found += some
    assert found == ids[4:]


@pytest.mark.parametrize("field", ["attribute.n", "name", "in_group"])
@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_a_filter_of_very_many_values_comes_to_an_end(field: str, mode: str, pool: Pool) -> None:
    """Else it runs into the statement_timeout again and again, and a campaign waits for its audience for ever."""
    ids = await people.add(pool, "tnt_1", [Person(name="b", attributes={"n": "b"}) for _ in range(10_000)])
    await people.group(pool, "tnt_1", ids)
    test = {"field": field, "operator": "in", "value": ["a"] * 1_000}
    async with pool.acquire() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        await connection.execute("SET statement_timeout = '2s'")
        assert await store.count(connection, TenantId("tnt_1"), segments.checked({"any": [test] * 30})) == 0


async def test_nobody_reaches_anothers_segment(gateway: Gateway, tenant: Tenant) -> None:
    segment, other = await new_segment(gateway, tenant), await gateway.new_tenant("Other")
    for method, rest, body in (("GET", "", None), ("PATCH", "", {"name": "x"}), ("DELETE", "", None), ("GET", "/count", None)):
        assert (await gateway.call(method, f"/api/segments/{segment}{rest}", body, other)).status == 404
    assert (await gateway.call("GET", "/api/segments", tenant=other)).body == {"data": []}


def deep(levels: int) -> Any:
    return {"not": deep(levels - 1)} if levels else {"field": "name", "operator": "exists"}


@pytest.mark.parametrize(
    ("filter_", "status", "pointer"),
    [
        ({}, 422, "/filter"),
        ([], 422, "/filter"),
        ({"any": [{"field": "name", "operator": "like", "value": "%"}]}, 422, "/filter/any/0/operator"),
        (
            b'{"name": "a", "filter": {"field": "attribute.a", "operator": "is", "value": 1%s}}' % (b"0" * 40),
            422,
            "/filter/value",
        ),
        ({"field": "attribute.a", "operator": "is", "value": 2**60}, 422, "/filter/value"),
        ({"field": "attribute.a", "operator": "is", "value": "\0"}, 422, "/filter/value"),
        ({"field": "attribute.\0", "operator": "exists"}, 422, "/filter/field"),
        (deep(100), 422, "/filter" + "/not" * 8),
        (b'{"name": "a", "filter": ' + b'{"not":' * 7_000 + b"{}" + b"}" * 7_000 + b"}", 400, None),
        (b'{"name": "a", "filter": {"field": "name", "operator": "is", "value": "\\ud800"}}', 422, "/filter/value"),
    ],
)
async def test_a_filter_that_cannot_be_understood_is_refused_with_the_place(
    gateway: Gateway, tenant: Tenant, filter_: Any, status: int, pointer: str | None
) -> None:
    segment = await new_segment(gateway, tenant)
    for method, path in (("POST", ""), ("PATCH", f"/{segment}")):
        body = filter_ if isinstance(filter_, bytes) else {"name": "a", "filter": filter_}
        answer = await gateway.call(method, f"/api/segments{path}", body, tenant)
        assert answer.status == status, answer.text
        if pointer is not None:
            assert [fault["pointer"] for fault in answer.body["errors"]] == [pointer]
    assert (await gateway.call("GET", f"/api/segments/{new_id('seg')}", tenant=tenant)).status == 404
