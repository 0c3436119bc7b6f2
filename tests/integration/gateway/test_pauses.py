"""A number is paused by its tenant or by what the provider answers, and resumed; the others are told, once per change."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.connections import Connections
from services.gateway.domain.origins import Origins
from shared.auth.seal import Sealer
from shared.clock import SystemClock
from shared.events.catalogue import NumberConnected, NumberPaused
from shared.ids import NumberId, TenantId
from tests.integration.gateway.serving import MASTER_KEY, Gateway, Tenant
from tests.support.told import silent_outbox


async def told(gateway: Gateway) -> list[tuple[int, str | None]]:
    """Revision and pause of each record told since the last look."""
    events = await gateway.told()
    assert all(isinstance(event, NumberConnected) for event in events)
    return [(event.revision, event.paused) for event in events if isinstance(event, NumberConnected)]


async def pause_by_provider(gateway: Gateway, tenant: Tenant, number: str, revision: int) -> None:
    connections = Connections(Sealer(MASTER_KEY), Origins.parse(""), SystemClock(), "http://127.0.0.1")
    event = NumberPaused(
        tenant_id=TenantId(tenant.tenant_id),
        number_id=NumberId(number),
        revision=revision,
        code="provider.190",
        detail="The access token has expired.",
    )
    async with silent_outbox(gateway.pool, "gateway").transaction() as unit:
        await connections.pause_by_provider(unit, event)


async def post(gateway: Gateway, tenant: Tenant, number: str, action: str, body: Any = None) -> dict[str, Any]:
    answer = await gateway.call("POST", f"/api/numbers/{number}/{action}", body, tenant)
    assert answer.status == 200, answer.text
    return dict(answer.body)


async def test_a_tenant_pauses_and_resumes_and_doing_it_twice_changes_nothing(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    first = await post(gateway, tenant, number, "pause", {"reason": "Complaints."})
    assert (first["status"], first["paused"]["code"], first["paused"]["detail"]) == ("paused", "number.paused", "Complaints.")
    assert await post(gateway, tenant, number, "pause", {"reason": "Others."}) == first
    assert await told(gateway) == [(2, "number.paused")]
    resumed = await post(gateway, tenant, number, "resume")
    assert resumed["status"] == "active"
    assert "paused" not in resumed
    assert await post(gateway, tenant, number, "resume") == resumed
    assert await told(gateway) == [(3, None)]
    assert (await gateway.call("GET", f"/api/numbers/{number}", tenant=tenant)).body == resumed


async def test_a_pause_needs_no_body_and_keeps_its_key(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    path = f"/api/numbers/{number}/pause"
    answers = [await gateway.call("POST", path, None, tenant, **{"Idempotency-Key": "a"}) for _ in range(2)]
    assert [answer.status for answer in answers] == [200, 200]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert answers[0].body == answers[1].body
    assert (await gateway.call("POST", path, {"because": "?"}, tenant)).status == 422


@pytest.mark.parametrize("action", ["pause", "resume"])
async def test_a_number_of_somebody_else_is_not_there(action: str, gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    number = await gateway.connect(one, "1001")
    answer = await gateway.call("POST", f"/api/numbers/{number}/{action}", None, other)
    assert (answer.status, answer.body["code"]) == (404, "number.unknown")
    assert await told(gateway) == []


async def test_the_provider_pauses_the_record_that_was_used_and_no_later_one(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    await gateway.call("PATCH", f"/api/numbers/{number}", {"messages_per_second": 7}, tenant)
    assert await told(gateway) == [(2, None)]
    await pause_by_provider(gateway, tenant, number, revision=1)
    assert await told(gateway) == []
    for _ in range(2):
        await pause_by_provider(gateway, tenant, number, revision=2)
    assert await told(gateway) == [(3, "provider.190")]
    shown = (await gateway.call("GET", f"/api/numbers/{number}", tenant=tenant)).body
    assert (shown["status"], shown["paused"]["detail"]) == ("paused", "The access token has expired.")


async def test_the_provider_pauses_only_a_number_of_the_tenant_it_is_told_of(gateway: Gateway) -> None:
    one, other = await gateway.new_tenant("One"), await gateway.new_tenant("Other")
    number = await gateway.connect(one, "1001")
    await pause_by_provider(gateway, other, number, revision=1)
    assert await told(gateway) == []


async def test_a_new_token_ends_a_pause_of_the_provider_and_none_of_the_tenant(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    await pause_by_provider(gateway, tenant, number, revision=1)
    path = f"/api/numbers/{number}"
    assert (await gateway.call("PATCH", path, {"messages_per_second": 9}, tenant)).body["status"] == "paused"
    assert (await gateway.call("PATCH", path, {"access_token": "EAAnew"}, tenant)).body["status"] == "active"
    assert await told(gateway) == [(2, "provider.190"), (3, "provider.190"), (4, None)]
    await post(gateway, tenant, number, "pause")
    assert (await gateway.call("PATCH", path, {"access_token": "EAAnewer"}, tenant)).body["status"] == "paused"
    assert await told(gateway) == [(5, "number.paused"), (6, "number.paused")]


async def test_the_tenants_pause_takes_the_place_of_the_providers(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    await pause_by_provider(gateway, tenant, number, revision=1)
    await post(gateway, tenant, number, "pause")
    await pause_by_provider(gateway, tenant, number, revision=3)
    assert await told(gateway) == [(2, "provider.190"), (3, "number.paused")]
    await post(gateway, tenant, number, "resume")
    assert await told(gateway) == [(4, None)]


async def test_a_message_says_that_its_number_is_paused(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number, other = await gateway.connect(tenant, "1001"), await gateway.connect(tenant, "1002")
    now = await gateway.send(tenant, **{"from": number})
    later = await gateway.send(tenant, **{"from": number, "scheduled_time": "2999-01-01T00:00:00Z"})
    free = await gateway.send(tenant, **{"from": other})

    async def waits() -> dict[str, Any]:
        page = (await gateway.call("GET", "/api/messages", tenant=tenant)).body["data"]
        one = (await gateway.call("GET", f"/api/messages/{now}", tenant=tenant)).body
        found = {message["id"]: message.get("waiting_for") for message in page}
        assert one.get("waiting_for") == found[now]
        return found

    assert await waits() == {now: None, later: None, free: None}
    await pause_by_provider(gateway, tenant, number, revision=1)
    assert await waits() == {now: {"code": "provider.190"}, later: None, free: None}
    await post(gateway, tenant, number, "pause")
    assert await waits() == {now: {"code": "number.paused"}, later: None, free: None}
    await gateway.pool.execute("UPDATE messages SET scheduled_at = now() WHERE id = $1", later)
    assert (await waits())[later] == {"code": "number.paused"}
    await gateway.pool.execute("UPDATE messages SET status = 'sent', status_rank = 50")
    assert await waits() == {now: None, later: None, free: None}
    await gateway.pool.execute("UPDATE messages SET status = 'accepted', status_rank = 10")
    await post(gateway, tenant, number, "resume")
    assert await waits() == {now: None, later: None, free: None}
