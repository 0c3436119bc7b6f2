"""Erased people who said stop are not written to, whoever brings their number back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from services.gateway import retell
from services.gateway.audience import Page, find_page
from shared.events.catalogue import ContactConsentChanged
from shared.events.values import Audience, Consent, ConsentScope, NamedRecipient
from shared.ids import TenantId
from tests.integration.gateway.importing import ended, send
from tests.integration.gateway.serving import Gateway, Tenant
from tests.support.told import silent_outbox

PHONE: Final = "+5511987654321"
OTHER_SPELLING: Final = "+551187654321"
USER_ID: Final = "US.13491208655302741918"
SAID_AT: Final = "2026-11-02T00:00:00Z"
LATER: Final = "2026-11-03T00:00:00Z"
OUT: Final = {"state": "opted_out", "at": SAID_AT, "source": "call"}


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def made(gateway: Gateway, tenant: Tenant, **body: Any) -> dict[str, Any]:
    answer = await gateway.call("POST", "/api/contacts", body, tenant)
    assert answer.status == 201, answer.text
    return dict(answer.body)


async def erased(gateway: Gateway, tenant: Tenant, **consent: str) -> None:
    """Somebody was there, had opted out, and was erased."""
    contact = await made(gateway, tenant, phone=PHONE, consent={**OUT, **consent})
    assert (await gateway.call("DELETE", f"/api/contacts/{contact['id']}", tenant=tenant)).status == 204


async def bring(gateway: Gateway, tenant: Tenant, route: str, at: str | None = None) -> dict[str, Any]:
    """The number comes back as an opt-in; returns its contact's consent."""
    body = {"phone": OTHER_SPELLING, "consent": {"state": "opted_in", **({"at": at} if at else {})}}
    if route == "post":
        await made(gateway, tenant, **body)
    elif route == "bulk":
        others = [{"phone": f"+1555000000{n}"} for n in range(3)]
        assert (await gateway.call("POST", "/api/contacts/bulk", [*others, body], tenant)).body["created"] == 4
    else:
        data = f"phone,consent,consent_at\n{OTHER_SPELLING},opted_in,{at or ''}\n".encode()
        assert (await ended(gateway, tenant, await send(gateway, tenant, data)))["created"] == 1
    (found,) = (await gateway.call("GET", f"/api/contacts?phone=%2B{PHONE[1:]}", tenant=tenant)).body["data"]
    return dict(found["consent"])


async def kept(gateway: Gateway) -> list[tuple[object, ...]]:
    return [tuple(row) for row in await gateway.pool.fetch("SELECT phone, scope, source FROM kept_opt_outs")]


async def faults(gateway: Gateway, tenant: Tenant, audience: Audience) -> list[tuple[str, str | None]]:
    async with gateway.pool.acquire() as connection:
        page = await find_page(
            connection, TenantId(tenant.tenant_id), audience, cursor=None, limit=10, default_zone="Europe/Lisbon"
        )
    assert isinstance(page, Page), page
    return [(member.to, None if member.fault is None else member.fault.code) for member in page.members]


@pytest.mark.parametrize("route", ["post", "bulk", "import"])
async def test_a_list_without_times_does_not_opt_in_who_said_stop_before_being_erased(
    gateway: Gateway, tenant: Tenant, route: str
) -> None:
    await erased(gateway, tenant)
    assert await kept(gateway) == [(PHONE, "all", "call")]
    assert await bring(gateway, tenant, route) == {"state": "opted_out", "scope": "all", "source": "call", "at": SAID_AT}
    told = [event for event in await gateway.told() if isinstance(event, ContactConsentChanged)]
    assert {event.consent for event in told} == {Consent.OPTED_OUT}
    assert {event.changed_at for event in told} == {datetime(2026, 11, 2, tzinfo=UTC)}
    assert await kept(gateway) == [(PHONE, "all", "call")]


@pytest.mark.parametrize("route", ["post", "bulk", "import"])
async def test_an_opt_in_that_is_known_to_be_later_counts_and_nothing_is_kept_any_longer(
    gateway: Gateway, tenant: Tenant, route: str
) -> None:
    await erased(gateway, tenant)
    assert (await bring(gateway, tenant, route, LATER))["state"] == "opted_in"
    assert await kept(gateway) == []


async def test_an_opt_in_that_is_known_to_be_older_does_not_count(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant)
    assert (await bring(gateway, tenant, "post", "2026-11-01T00:00:00Z"))["state"] == "opted_out"


async def test_an_opt_in_of_the_new_contact_ends_what_was_kept(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant)
    contact = await made(gateway, tenant, phone=PHONE)
    assert contact["consent"]["state"] == "opted_out"
    answer = await gateway.call("POST", f"/api/contacts/{contact['id']}/opt-in", {"scope": "marketing"}, tenant)
    assert answer.body["consent"]["state"] == "opted_out"
    assert len(await kept(gateway)) == 1
    answer = await gateway.call("POST", f"/api/contacts/{contact['id']}/opt-in", tenant=tenant)
    assert answer.body["consent"]["state"] == "opted_in"
    assert await kept(gateway) == []


async def test_a_contact_that_changes_to_the_number_has_its_opt_out(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant, scope="marketing")
    contact = await made(gateway, tenant, username="ana.quispe")
    answer = await gateway.call("PATCH", f"/api/contacts/{contact['id']}", {"phone": PHONE}, tenant)
    assert answer.body["consent"] == {"state": "opted_out", "scope": "marketing", "source": "call", "at": SAID_AT}
    history = await gateway.call("GET", f"/api/contacts/{contact['id']}/consents", tenant=tenant)
    assert [(entry["state"], entry["scope"]) for entry in history.body["data"]] == [("opted_out", "marketing")]


async def test_of_people_known_by_a_user_id_it_is_kept_too(gateway: Gateway, tenant: Tenant) -> None:
    contact = await made(gateway, tenant, user_id=USER_ID, consent=OUT)
    assert (await gateway.call("DELETE", f"/api/contacts/{contact['id']}", tenant=tenant)).status == 204
    assert await kept(gateway) == [(USER_ID, "all", "call")]
    back = await made(gateway, tenant, user_id=USER_ID, consent={"state": "opted_in"})
    assert back["consent"] == {"state": "opted_out", "scope": "all", "source": "call", "at": SAID_AT}
    await gateway.told()
    assert (await retell.retell(silent_outbox(gateway.pool, "gateway"), "http://x"))["contact.consent_changed"] == 2
    told = [event for event in await gateway.told() if isinstance(event, ContactConsentChanged)]
    assert {(event.phone, event.consent) for event in told} == {(USER_ID, Consent.OPTED_OUT)}
    answer = await gateway.call("POST", f"/api/contacts/{back['id']}/opt-in", tenant=tenant)
    assert answer.body["consent"]["state"] == "opted_in"
    assert await kept(gateway) == []


@pytest.mark.parametrize("name", [{"phone": PHONE}, {"user_id": USER_ID}, {"phone": PHONE, "user_id": USER_ID}])
async def test_it_is_kept_of_each_address_of_theirs(gateway: Gateway, tenant: Tenant, name: dict[str, str]) -> None:
    contact = await made(gateway, tenant, phone=PHONE, user_id=USER_ID, consent=OUT)
    assert (await gateway.call("DELETE", f"/api/contacts/{contact['id']}", tenant=tenant)).status == 204
    assert sorted(await kept(gateway)) == [(PHONE, "all", "call"), (USER_ID, "all", "call")]
    back = await made(gateway, tenant, username="ana.quispe")
    answer = await gateway.call("PATCH", f"/api/contacts/{back['id']}", name, tenant)
    assert answer.body["consent"] == {"state": "opted_out", "scope": "all", "source": "call", "at": SAID_AT}
    history = await gateway.call("GET", f"/api/contacts/{back['id']}/consents", tenant=tenant)
    assert len(history.body["data"]) == 1, "what is kept of both is one word"


async def test_erased_twice_nothing_is_narrowed(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant)
    await erased(gateway, tenant, scope="marketing", at=LATER)
    assert await kept(gateway) == [(PHONE, "all", "call")]


@pytest.mark.parametrize("consent", [None, {"state": "opted_in"}])
async def test_of_who_did_not_opt_out_nothing_is_kept(gateway: Gateway, tenant: Tenant, consent: object) -> None:
    contact = await made(gateway, tenant, phone=PHONE, consent=consent)
    assert (await gateway.call("DELETE", f"/api/contacts/{contact['id']}", tenant=tenant)).status == 204
    assert await kept(gateway) == []


async def test_it_is_one_tenants_matter(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant)
    other = await gateway.new_tenant("Other")
    assert (await made(gateway, other, phone=PHONE, consent={"state": "opted_in"}))["consent"]["state"] == "opted_in"
    assert len(await kept(gateway)) == 1


async def test_an_audience_has_them_as_opted_out(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant)
    named = Audience(recipients=[NamedRecipient(to=PHONE), NamedRecipient(to="+15551234567")])
    expected = [(PHONE, "contact.opted_out"), ("+15551234567", None)]
    assert await faults(gateway, tenant, named) == expected
    contact = await made(gateway, tenant, phone=PHONE, consent={"state": "opted_in"})
    assert await faults(gateway, tenant, named) == expected
    assert await faults(gateway, tenant, Audience(contact_ids=[contact["id"]])) == expected[:1]


async def test_it_is_told_again_to_those_who_have_lost_it(gateway: Gateway, tenant: Tenant) -> None:
    await erased(gateway, tenant)
    await gateway.told()
    assert await retell.retell(silent_outbox(gateway.pool, "gateway"), "http://127.0.0.1:8080") == {
        "contact.consent_changed": 2
    }
    again = [event for event in await gateway.told() if isinstance(event, ContactConsentChanged)]
    assert {event.phone for event in again} >= {PHONE, OTHER_SPELLING}
    assert {(event.consent, event.scope, event.changed_at) for event in again} == {
        (Consent.OPTED_OUT, ConsentScope.ALL, datetime(2026, 11, 2, tzinfo=UTC))
    }


async def test_an_opt_out_route_says_where_the_time_is_wrong(gateway: Gateway, tenant: Tenant) -> None:
    contact = await made(gateway, tenant, phone=PHONE)
    ahead = {"at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}
    answer = await gateway.call("POST", f"/api/contacts/{contact['id']}/opt-out", ahead, tenant)
    assert [(fault["pointer"], fault["code"]) for fault in answer.body["errors"]] == [("/at", "time.in_future")]
    answer = await gateway.call("POST", "/api/contacts", {"phone": "+15551234567", "consent": {**OUT, **ahead}}, tenant)
    assert [fault["pointer"] for fault in answer.body["errors"]] == ["/consent/at"]
    answer = await gateway.call("POST", "/api/contacts", {"phone": "+15551234567", "consent": {"state": "maybe"}}, tenant)
    assert [fault["detail"] for fault in answer.body["errors"]] == ["must be 'opted_in' or 'opted_out'"]
