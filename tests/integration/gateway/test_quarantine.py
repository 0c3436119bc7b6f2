"""What could not be read whole: its tenant finds it, looks at it, lets it be read again, throws it away."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest

from services.gateway.routes import quarantine
from services.gateway.store import webhooks
from shared.auth.signatures import HEADER, sign
from shared.events.catalogue import MessageReceived
from shared.ids import TenantId
from tests.integration.gateway.serving import WEBHOOK, Gateway, Tenant
from tests.integration.gateway.test_webhooks import inbound, payload, read, value

PATH = "/api/webhooks/quarantined"
DEEP = b'{"entry": ' + b"[" * 500 + b"]" * 500 + b"}"


async def set_aside(gateway: Gateway, tenant: Tenant, *bodies: bytes) -> list[str]:
    """Payloads that somebody has set aside; their ids, oldest first."""
    await webhooks.insert(gateway.pool, [(TenantId(tenant.tenant_id), body, None) for body in bodies])
    ids = [row["id"] for row in await gateway.pool.fetch("SELECT id FROM webhooks ORDER BY id")][-len(bodies) :]
    await gateway.pool.execute("UPDATE webhooks SET quarantined = 'ZeroDivisionError' WHERE id = ANY($1::bigint[])", ids)
    return [f"whk_{one}" for one in ids]


def readable(wamid: str) -> bytes:
    return orjson.dumps(payload(value("1001", messages=[inbound(wamid)])))


async def told_of(gateway: Gateway) -> list[str]:
    return sorted(event.wamid for event in await read(gateway) if isinstance(event, MessageReceived))


async def listed(gateway: Gateway, tenant: Tenant, query: str = "") -> Any:
    answer = await gateway.call("GET", f"{PATH}{query}", tenant=tenant)
    assert answer.status == 200, answer.text
    return answer.body


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    return tenant


async def test_they_are_listed_newest_first_page_by_page_for_their_own_tenant(gateway: Gateway, tenant: Tenant) -> None:
    ids = await set_aside(gateway, tenant, *(readable(f"wamid.{number}") for number in range(5)))
    other = await gateway.new_tenant("Other")
    found: list[Any] = []
    cursor = ""
    while True:
        page = await listed(gateway, tenant, f"?limit=2{cursor}")
        found += page["data"]
        if page.get("next_cursor") is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert [one["id"] for one in found] == ids[::-1]
    assert found[0]["reason"] == "ZeroDivisionError"
    assert found[0]["size_bytes"] == len(readable("wamid.4"))
    assert "payload" not in found[0]
    assert (await listed(gateway, other))["data"] == []


@pytest.mark.parametrize("cursor", ["x", "whk_", "whk_x", "whk_٣", "whk_" + "9" * 19, "5"])
async def test_a_cursor_of_somebody_elses_making_is_refused(cursor: str, gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call("GET", f"{PATH}?cursor={cursor}", tenant=tenant)
    assert (answer.status, answer.body["code"]) == (400, "cursor.invalid")


async def test_one_is_shown_as_it_came(gateway: Gateway, tenant: Tenant) -> None:
    bodies = (readable("wamid.1"), DEEP, b"\xff{", b'"\\ud800"', b"")
    ids = await set_aside(gateway, tenant, *bodies)
    answers = [await gateway.call("GET", f"{PATH}/{one}", tenant=tenant) for one in ids]
    assert [answer.status for answer in answers] == [200] * 5
    assert answers[0].body["payload"] == orjson.loads(bodies[0])
    assert DEEP.decode() in answers[1].text
    assert [base64.b64decode(answer.body["body_base64"]) for answer in answers[2:]] == [*bodies[2:]]


async def test_nobody_else_sees_or_touches_it(gateway: Gateway, tenant: Tenant) -> None:
    [one] = await set_aside(gateway, tenant, readable("wamid.1"))
    other = await gateway.new_tenant("Other")
    for method, path in (("GET", one), ("POST", f"{one}/replay"), ("DELETE", one)):
        assert (await gateway.call(method, f"{PATH}/{path}", tenant=other)).status == 404
        assert (await gateway.call(method, f"{PATH}/{path}")).status == 401
    assert (await gateway.call("POST", f"{PATH}/replay", tenant=other)).body == {"replayed": 0}
    assert len((await listed(gateway, tenant))["data"]) == 1


async def test_what_is_read_again_is_told_once_and_what_is_still_unreadable_comes_back(
    gateway: Gateway, tenant: Tenant
) -> None:
    partly = orjson.dumps(payload(value("1001", messages=[inbound("wamid.told"), {"id": 5}])))
    headers = {HEADER: sign("secret-1001", partly)}
    assert (await gateway.call("POST", WEBHOOK, partly, **headers)).status == 200
    assert await told_of(gateway) == ["wamid.told"]
    [left] = (await listed(gateway, tenant))["data"]
    [mended] = await set_aside(gateway, tenant, readable("wamid.mended"))
    keyed = {"Idempotency-Key": "again"}
    for replayed in ("false", "true"):
        answer = await gateway.call("POST", f"{PATH}/{mended}/replay", tenant=tenant, **keyed)
        assert (answer.status, answer.body) == (202, {"replayed": 1})
        assert answer.headers.get("Idempotent-Replayed", "false") == replayed
    assert await told_of(gateway) == ["wamid.mended"]
    assert (await gateway.call("POST", f"{PATH}/{mended}/replay", tenant=tenant)).status == 404
    assert (await gateway.call("POST", f"{PATH}/replay", tenant=tenant)).body == {"replayed": 1}
    assert await told_of(gateway) == [], "what was told of it before is not told again"
    assert [one["id"] for one in (await listed(gateway, tenant))["data"]] == [left["id"]]


async def test_all_are_read_again_although_the_oldest_are_still_unreadable(
    gateway: Gateway, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quarantine, "REPLAYED_AT_ONCE", 2)
    left = await set_aside(gateway, tenant, b"{", b"[")
    await set_aside(gateway, tenant, readable("wamid.mended"))
    first = (await gateway.call("POST", f"{PATH}/replay", tenant=tenant)).body
    assert await told_of(gateway) == []
    assert first == {"replayed": 2, "next_cursor": left[-1]}
    second = (await gateway.call("POST", f"{PATH}/replay?cursor={first['next_cursor']}", tenant=tenant)).body
    assert second == {"replayed": 1}
    assert await told_of(gateway) == ["wamid.mended"]
    assert [one["id"] for one in (await listed(gateway, tenant))["data"]] == left[::-1]
    answer = await gateway.call("POST", f"{PATH}/replay?cursor=nonsense", tenant=tenant)
    assert (answer.status, answer.body["code"]) == (400, "cursor.invalid")


async def test_one_can_be_thrown_away(gateway: Gateway, tenant: Tenant) -> None:
    first, second = await set_aside(gateway, tenant, readable("wamid.1"), readable("wamid.2"))
    assert (await gateway.call("DELETE", f"{PATH}/{first}", tenant=tenant)).status == 204
    assert (await gateway.call("DELETE", f"{PATH}/{first}", tenant=tenant)).status == 404
    assert [one["id"] for one in (await listed(gateway, tenant))["data"]] == [second]


async def test_what_waits_to_be_read_is_not_set_aside(gateway: Gateway, tenant: Tenant) -> None:
    await webhooks.insert(gateway.pool, [(TenantId("tnt_of_nobody"), readable("wamid.1"), None)])
    assert (await listed(gateway, tenant))["data"] == []
