"""GET /api/messages: what can be looked for, page by page."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.store import messages
from shared.ids import TenantId, new_id
from tests.integration.gateway.serving import Answer, Gateway, Tenant

HERS, HIS = "+15551234567", "+15557654321"


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def get(gateway: Gateway, tenant: Tenant, query: str) -> Answer:
    return await gateway.call("GET", f"/api/messages?{query}", tenant=tenant)


async def ids(gateway: Gateway, tenant: Tenant, query: str) -> list[str]:
    answer = await get(gateway, tenant, query)
    assert answer.status == 200, answer.text
    return [message["id"] for message in answer.body["data"]]


async def test_messages_are_found_by_what_is_asked(gateway: Gateway, tenant: Tenant) -> None:
    one, two = await gateway.connect(tenant, "1001"), await gateway.connect(tenant, "1002")
    a = await gateway.send(tenant, **{"from": one}, to=HERS, reference="order 1")
    b = await gateway.send(tenant, **{"from": two}, to=HERS, reference="order 2")
    c = await gateway.send(tenant, **{"from": two}, to=HIS, scheduled_time="2030-01-01T00:00:00Z")
    run = new_id("run")
    await gateway.pool.execute("UPDATE messages SET run_id = $1 WHERE id = ANY($2::text[])", run, [b, c])
    found: dict[str, list[str]] = {
        "": [c, b, a],
        "status=scheduled": [c],
        "status=read": [],
        "to=%2B15551234567": [b, a],
        "to=+1 (555) 123-4567": [b, a],
        "to=15551234567": [b, a],
        f"from={two}": [c, b],
        "reference=order 1": [a],
        f"run_id={run}": [c, b],
        f"run_id={run}&to=15557654321": [c],
        f"run_id={run}&reference=order 2": [b],
        f"run_id={run}&reference=order 1": [],
        "to=15551234567&status=accepted&reference=order 1": [a],
        f"to=15551234567&from={two}": [b],
        f"run_id={new_id('run')}": [],
    }
    for query, expected in found.items():
        assert await ids(gateway, tenant, query) == expected, query
    assert await ids(gateway, await gateway.new_tenant("Other"), f"run_id={run}") == []


async def test_pages_of_a_search_follow_one_another(gateway: Gateway, tenant: Tenant) -> None:
    await gateway.connect(tenant, "1001")
    sent = [await gateway.send(tenant, to=HERS if n % 3 == 0 else HIS, reference="r") for n in range(13)]
    for query, expected in {
        "to=15551234567": [m for n, m in enumerate(sent) if n % 3 == 0],
        "reference=r": sent,
    }.items():
        found: list[str] = []
        cursor = ""
        while True:
            page = (await get(gateway, tenant, f"{query}&limit=2{cursor}")).body
            found += [message["id"] for message in page["data"]]
            if "next_cursor" not in page:
                break
            assert len(page["data"]) == 2
            cursor = f"&cursor={page['next_cursor']}"
        assert found == expected[::-1]


async def test_a_search_ends_where_it_has_looked_through_enough_and_goes_on_there(
    gateway: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messages, "LOOK_THROUGH", 4)
    await gateway.connect(tenant, "1001")
    sent = [await gateway.send(tenant, to=HERS if n in {0, 4} else HIS) for n in range(8)]
    wanted = messages.Wanted(recipient=HERS)
    pages: list[tuple[list[Any], str | None]] = []
    before: str | None = None
    while True:
        rows, before = await messages.page(gateway.pool, TenantId(tenant.tenant_id), before=before, limit=5, wanted=wanted)
        pages.append(([row["id"] for row in rows], before))
        if before is None:
            break
    assert pages == [([sent[4]], sent[4]), ([sent[0]], sent[0]), ([], None)]


@pytest.mark.parametrize("query", ["to=abc", "to=", "to=%00", "status=gone", "reference=%00", "run_id=" + "r" * 50, "x=1"])
async def test_a_wrong_question_is_refused(query: str, gateway: Gateway, tenant: Tenant) -> None:
    assert (await get(gateway, tenant, query)).status == 422
