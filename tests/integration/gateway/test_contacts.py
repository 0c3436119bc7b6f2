"""Contacts over HTTP: one at a time, many at once, found again, erased."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from shared.events.catalogue import ContactConsentChanged
from shared.events.values import Consent, ConsentScope
from shared.http.routes import NDJSON
from tests.integration.gateway.serving import Answer, Gateway, Tenant

ANA = {
    "phone": "+49 151 1234 5678",
    "user_id": "DE.1349120865530274",
    "username": "@Ana.Quispe",
    "name": "Ana Quispe",
    "language": "es_pe",
    "time_zone": "America/Lima",
    "attributes": {"plan": "gold", "visits": 7, "vip": True, "score": 1.5},
    "consent": {"state": "opted_in", "source": "web form", "at": "2026-11-01T10:00:00Z"},
}


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    return await gateway.new_tenant()


async def create(gateway: Gateway, tenant: Tenant, **body: Any) -> str:
    answer = await gateway.call("POST", "/api/contacts", body, tenant)
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


async def bulk(gateway: Gateway, tenant: Tenant, *items: Any) -> Answer:
    return await gateway.call("POST", "/api/contacts/bulk", list(items), tenant)


async def consents_told(gateway: Gateway) -> list[ContactConsentChanged]:
    return [event for event in await gateway.told() if isinstance(event, ContactConsentChanged)]


async def test_a_contact_is_kept_as_it_is_usually_written(gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call("POST", "/api/contacts", ANA, tenant)
    assert answer.status == 201, answer.text
    assert answer.body == (await gateway.call("GET", f"/api/contacts/{answer.body['id']}", tenant=tenant)).body
    body = answer.body
    assert (body["phone"], body["username"], body["language"]) == ("+4915112345678", "ana.quispe", "es-PE")
    assert body["attributes"] == ANA["attributes"]
    assert body["consent"] == {"state": "opted_in", "scope": "all", "source": "web form", "at": "2026-11-01T10:00:00Z"}
    events = await consents_told(gateway)
    assert [event.phone for event in events] == ["+4915112345678", body["user_id"]], "each address that messages go to"
    event = events[0]
    assert (event.contact_id, event.consent) == (body["id"], Consent.OPTED_IN)
    assert (event.source, event.changed_at) == ("api", datetime(2026, 11, 1, 10, tzinfo=UTC))


async def test_an_identifier_belongs_to_one_contact_of_a_tenant(gateway: Gateway, tenant: Tenant) -> None:
    first = await create(gateway, tenant, phone="+15551234567")
    answer = await gateway.call("POST", "/api/contacts", {"phone": "+1 555 123 4567"}, tenant)
    assert (answer.status, answer.body["code"]) == (409, "contact.exists")
    other = await create(gateway, tenant, username="other")
    answer = await gateway.call("PATCH", f"/api/contacts/{other}", {"phone": "+15551234567"}, tenant)
    assert (answer.status, answer.body["code"]) == (409, "contact.conflict")
    assert (await gateway.call("PATCH", f"/api/contacts/{first}", {"phone": "+15551234567"}, tenant)).status == 200
    await create(gateway, await gateway.new_tenant("Other"), phone="+15551234567")


async def test_a_patch_changes_what_it_names_and_null_takes_away(gateway: Gateway, tenant: Tenant) -> None:
    contact = await create(gateway, tenant, **ANA)
    change = {"phone": None, "name": None, "attributes": {"plan": None, "city": "Cusco"}, "time_zone": "Asia/Kathmandu"}
    body = (await gateway.call("PATCH", f"/api/contacts/{contact}", change, tenant)).body
    assert "phone" not in body
    assert "name" not in body
    assert (body["user_id"], body["time_zone"]) == (ANA["user_id"], "Asia/Kathmandu")
    assert body["attributes"] == {"visits": 7, "vip": True, "score": 1.5, "city": "Cusco"}
    answer = await gateway.call("PATCH", f"/api/contacts/{contact}", {"user_id": None, "username": None}, tenant)
    assert [fault["code"] for fault in answer.body["errors"]] == ["contact.no_identifier"]
    assert await create(gateway, tenant, phone=ANA["phone"]) != contact


async def test_a_contact_that_changes_its_number_stays_opted_out(gateway: Gateway, tenant: Tenant) -> None:
    contact = await create(gateway, tenant, phone="+15551234567", consent={"state": "opted_out"})
    await gateway.call("PATCH", f"/api/contacts/{contact}", {"phone": "+15557654321"}, tenant)
    assert [(event.phone, event.consent) for event in await consents_told(gateway)] == [
        ("+15551234567", Consent.OPTED_OUT),
        ("+15557654321", Consent.OPTED_OUT),
    ]


async def test_an_opt_in_that_comes_along_to_another_number_is_not_newer_for_that(gateway: Gateway, tenant: Tenant) -> None:
    """Whoever had that number may have opted out since."""
    word = {"state": "opted_in", "at": "2026-11-01T00:00:00Z"}
    contact = await create(gateway, tenant, phone="+15551234567", consent=word)
    await gateway.call("PATCH", f"/api/contacts/{contact}", {"phone": "+15557654321"}, tenant)
    assert [(event.phone, event.changed_at) for event in await consents_told(gateway)] == [
        ("+15551234567", datetime(2026, 11, 1, tzinfo=UTC)),
        ("+15557654321", datetime(2026, 11, 1, tzinfo=UTC)),
    ]


async def test_a_batch_creates_and_changes_and_says_what_it_did(gateway: Gateway, tenant: Tenant) -> None:
    known = await create(gateway, tenant, phone="+15551234567", name="Before")
    other = await create(gateway, tenant, username="other")
    answer = await bulk(
        gateway,
        tenant,
        {"phone": "+15551234567", "name": "After"},
        {"phone": "+15550000001", "username": "fresh"},
        {"phone": "oops"},
        {"phone": "+15551234567", "username": "other"},
        {"name": "Nobody"},
        {"username": "fresh", "name": "Fresh"},
        {"username": "other"},
    )
    assert answer.status == 200, answer.text
    assert {kind: answer.body[kind] for kind in ("created", "updated", "unchanged", "rejected")} == {
        "created": 1,
        "updated": 2,
        "unchanged": 1,
        "rejected": 3,
    }
    results = answer.body["results"]
    assert (results[0]["id"], results[6]["id"]) == (known, other)
    assert results[1]["id"] == results[5]["id"]
    faults = [(fault["pointer"], fault["code"]) for result in results for fault in result.get("errors", ())]
    assert faults == [("/2/phone", "phone.invalid"), ("/3", "contact.conflict"), ("/4", "contact.no_identifier")]
    fresh = (await gateway.call("GET", f"/api/contacts/{results[1]['id']}", tenant=tenant)).body
    assert (fresh["phone"], fresh["username"], fresh["name"]) == ("+15550000001", "fresh", "Fresh")


async def test_a_batch_comes_a_line_an_item_too(gateway: Gateway, tenant: Tenant) -> None:
    lines = b'{"phone": "+15550000001"}\n\n{"phone": "+15550000002"},{"phone": "+15550000003"}\n'
    answer = await gateway.call("POST", "/api/contacts/bulk", lines, tenant, **{"Content-Type": NDJSON})
    assert (answer.status, answer.body["created"], answer.body["rejected"]) == (200, 1, 1)


async def test_a_batch_sent_twice_does_nothing_more(gateway: Gateway, tenant: Tenant) -> None:
    items = [{"phone": f"+1555000{n:04}", "name": f"N {n}", "consent": {"state": "opted_out"}} for n in range(50)]
    first, second = await bulk(gateway, tenant, *items), await bulk(gateway, tenant, *items)
    assert (first.body["created"], second.body["unchanged"]) == (50, 50)
    assert len(await consents_told(gateway)) == 50
    history = await gateway.call("GET", f"/api/contacts/{first.body['results'][0]['id']}/consents", tenant=tenant)
    assert len(history.body["data"]) == 1


async def test_lists_of_opt_ins_do_not_undo_an_opt_out_unless_they_know_that_it_is_older(
    gateway: Gateway, tenant: Tenant
) -> None:
    contact = await create(gateway, tenant, phone="+15551234567")
    await gateway.call("POST", f"/api/contacts/{contact}/opt-out", {"at": "2026-11-02T00:00:00Z"}, tenant)
    for at, state in ((None, "opted_out"), ("2026-11-01T00:00:00Z", "opted_out"), ("2026-11-03T00:00:00Z", "opted_in")):
        await bulk(gateway, tenant, {"phone": "+15551234567", "consent": {"state": "opted_in", **({"at": at} if at else {})}})
        found = await gateway.call("GET", f"/api/contacts/{contact}", tenant=tenant)
        assert found.body["consent"]["state"] == state, at
    history = (await gateway.call("GET", f"/api/contacts/{contact}/consents", tenant=tenant)).body["data"]
    assert [(entry["state"], entry["at"][:10]) for entry in history] == [
        ("opted_in", "2026-11-03"),
        ("opted_out", "2026-11-02"),
        ("opted_in", "2026-11-01"),
    ]


async def test_an_opt_out_is_told_at_once_and_an_old_one_is_not(gateway: Gateway, tenant: Tenant) -> None:
    contact = await create(gateway, tenant, phone="+15551234567")
    path = f"/api/contacts/{contact}"
    answer = await gateway.call("POST", f"{path}/opt-out", {"scope": "marketing", "source": "call"}, tenant)
    assert (answer.status, answer.body["consent"]["state"], answer.body["consent"]["source"]) == (200, "opted_out", "call")
    assert (await gateway.call("POST", f"{path}/opt-out", tenant=tenant)).status == 200
    assert (await gateway.call("POST", f"{path}/opt-in", {"at": "2020-01-01T00:00:00Z"}, tenant)).status == 200
    assert [(e.consent, e.scope) for e in await consents_told(gateway)] == [
        (Consent.OPTED_OUT, ConsentScope.MARKETING),
        (Consent.OPTED_OUT, ConsentScope.ALL),
    ]
    answer = await gateway.call("POST", f"{path}/opt-in", {"at": "2999-01-01T00:00:00Z"}, tenant)
    assert [fault["code"] for fault in answer.body["errors"]] == ["time.in_future"]


async def test_a_brazilian_opt_out_is_told_for_both_spellings(gateway: Gateway, tenant: Tenant) -> None:
    await create(gateway, tenant, phone="+5511987654321", consent={"state": "opted_out"})
    assert {event.phone for event in await consents_told(gateway)} == {"+5511987654321", "+551187654321"}


async def test_erased_is_forgotten(gateway: Gateway, tenant: Tenant) -> None:
    contact = await create(gateway, tenant, **ANA)
    assert (await gateway.call("DELETE", f"/api/contacts/{contact}", tenant=await gateway.new_tenant("Other"))).status == 404
    assert (await gateway.call("DELETE", f"/api/contacts/{contact}", tenant=tenant)).status == 204
    assert (await gateway.call("DELETE", f"/api/contacts/{contact}", tenant=tenant)).status == 404
    assert (await gateway.call("GET", f"/api/contacts/{contact}", tenant=tenant)).status == 404
    for table in ("contacts", "contact_identifiers", "contact_consents"):
        assert await gateway.pool.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608  # constants
    assert await create(gateway, tenant, **ANA) != contact


async def names_of(gateway: Gateway, tenant: Tenant, query: str) -> list[str]:
    names, cursor = [], ""
    while True:
        answer = await gateway.call("GET", f"/api/contacts?limit=2&{query}{cursor}", tenant=tenant)
        assert answer.status == 200, answer.text
        names += [contact["name"] for contact in answer.body["data"]]
        if "next_cursor" not in answer.body:
            return names
        cursor = f"&cursor={answer.body['next_cursor']}"


async def test_contacts_are_found_by_what_is_known_of_them(gateway: Gateway, tenant: Tenant) -> None:
    names = ["Ána", "ANA MARÍA", "Anatol", "Bo", "Ann"]
    out = {"state": "opted_out"}
    items = [{"phone": f"+1555000000{n}", "name": name, "consent": out if n % 2 else None} for n, name in enumerate(names)]
    await bulk(gateway, tenant, *items)
    assert await names_of(gateway, tenant, "") == names[::-1]
    assert await names_of(gateway, tenant, "q=ana") == ["Ána", "ANA MARÍA", "Anatol"]
    assert await names_of(gateway, tenant, "q=an%C3%A1&consent=opted_out") == ["ANA MARÍA"]
    assert await names_of(gateway, tenant, "consent=opted_out") == ["Bo", "ANA MARÍA"]
    assert await names_of(gateway, tenant, "consent=unknown") == ["Ann", "Anatol", "Ána"]
    assert await names_of(gateway, tenant, "phone=%2B15550000003") == ["Bo"]
    assert await names_of(gateway, tenant, "phone=+15550000003") == ["Bo"]
    assert await names_of(gateway, tenant, "phone=%2B15550000009") == []
    assert await names_of(gateway, tenant, "phone=%2B15550000003&consent=unknown") == []
    since = datetime.now(UTC).isoformat().replace("+", "%2B")
    assert await names_of(gateway, tenant, f"updated_after={since}") == []
    for n in (2, 0, 4):
        await bulk(gateway, tenant, {"phone": f"+1555000000{n}", "language": "en"})
    assert await names_of(gateway, tenant, f"updated_after={since}") == ["Anatol", "Ána", "Ann"]
    assert await names_of(gateway, await gateway.new_tenant("Other"), "") == []


async def test_the_history_has_pages(gateway: Gateway, tenant: Tenant) -> None:
    contact = await create(gateway, tenant, username="ana")
    for day in range(1, 6):
        kind = "opt-in" if day % 2 else "opt-out"
        await gateway.call("POST", f"/api/contacts/{contact}/{kind}", {"at": f"2026-11-0{day}T00:00:00Z"}, tenant)
    seen, cursor = [], ""
    while True:
        page = (await gateway.call("GET", f"/api/contacts/{contact}/consents?limit=2{cursor}", tenant=tenant)).body
        seen += [entry["at"][:10] for entry in page["data"]]
        if "next_cursor" not in page:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == [f"2026-11-0{day}" for day in range(5, 0, -1)]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"phone": "+15551234567 ext 5"}, "/phone"),
        ({"phone": "+1555\x001234567"}, "/phone"),
        ({"phone": "1" * 10_000}, "/phone"),
        ({"phone": 15551234567}, "/phone"),
        ({"phone": ["+15551234567"]}, "/phone"),
        ({"user_id": "15551234567"}, "/user_id"),
        ({"username": "a" * 36}, "/username"),
        ({"username": "ana", "name": "nul\0"}, "/name"),
        ({"username": "ana", "name": ""}, "/name"),
        ({"username": "ana", "language": "english please"}, "/language"),
        ({"username": "ana", "time_zone": "../../etc/passwd"}, "/time_zone"),
        ({"username": "ana", "time_zone": "Mars/Olympus"}, "/time_zone"),
        ({"username": "ana", "attributes": {"a": [1]}}, "/attributes/a"),
        ({"username": "ana", "attributes": {"a": 2**60}}, "/attributes/a"),
        ({"username": "ana", "attributes": {"a b": 1}}, "/attributes/a b"),
        ({"username": "ana", "attributes": {f"k{n}": n for n in range(51)}}, "/attributes"),
        ({"username": "ana", "consent": {"state": "unknown"}}, "/consent/state"),
        ({"username": "ana", "consent": {"state": "opted_in", "at": "0001-01-01T00:00:00+14:00"}}, "/consent/at"),
        ({"username": "ana", "id": "ctc_1"}, "/id"),
        ({}, ""),
        ({"phone": None}, ""),
    ],
)
async def test_hostile_contacts_are_refused_by_name(body: Any, pointer: str, gateway: Gateway, tenant: Tenant) -> None:
    one = await gateway.call("POST", "/api/contacts", body, tenant)
    assert (one.status, [fault["pointer"] for fault in one.body["errors"]]) == (422, [pointer]), one.text
    many = await bulk(gateway, tenant, {"username": "fine"}, body)
    assert many.status == 200, many.text
    assert [fault["pointer"] for fault in many.body["results"][1]["errors"]] == [f"/1{pointer}"]


@pytest.mark.parametrize(
    "data",
    [
        b'{"username": "ana", "name": "\\ud800"}',
        b'{"username": "ana", "attributes": {"\\u0000": 1}}',
        b'{"username": "ana", "attributes": {"a": 1e999}}',
        b'{"username": "ana", "attributes": {"a": NaN}}',
        b'{"username": "ana", "attributes": {"a": ' + b"9" * 5_000 + b"}}",
        b'{"attributes": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}",
        b"[" * 50_000,
        b"null",
        b"",
        b"\xff\xfe",
    ],
)
async def test_hostile_bodies_are_refused(data: bytes, gateway: Gateway, tenant: Tenant) -> None:
    for path in ("/api/contacts", "/api/contacts/bulk"):
        answer = await gateway.call("POST", path, data, tenant)
        assert answer.status in {400, 413, 422}, (path, answer.status, answer.text)
    answer = await gateway.call("POST", "/api/contacts/bulk", b"[" + data + b"]", tenant)
    assert answer.status in {400, 413, 422}, answer.text


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "cursor=x",
        "cursor=bnVsbA",
        "cursor=WyJcdTAwMDAiXQ",
        "q=a&cursor=WyJcdTAwMDAiLCJhIl0",
        "q=a&cursor=WzEsMl0",
        "updated_after=2026-01-01T00:00:00Z&cursor=WyIwMDAxLTAxLTAxVDAwOjAwOjAwKzE0OjAwIiwiYSJd",
        "updated_after=2026-01-01T00:00:00Z&cursor=WyJ4IiwiYSJd",
        "updated_after=yesterday",
        "consent=perhaps",
        "phone=x",
        "q=%00",
        "q=",
        "q=a&phone=%2B15551234567",
        "nothing=1",
    ],
)
async def test_hostile_queries_are_refused(query: str, gateway: Gateway, tenant: Tenant) -> None:
    answer = await gateway.call("GET", f"/api/contacts?{query}", tenant=tenant)
    assert answer.status in {400, 422}, answer.text


async def test_a_batch_has_a_size(gateway: Gateway, tenant: Tenant) -> None:
    assert (await bulk(gateway, tenant)).status == 422
    many = orjson.dumps([{"username": f"u{n}"} for n in range(10_001)])
    assert (await gateway.call("POST", "/api/contacts/bulk", many, tenant)).status == 413
