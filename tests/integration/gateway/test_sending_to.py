"""POST /api/messages to contacts, with templates, with and without consent."""

from __future__ import annotations

from typing import Any

import pytest

from services.gateway.lookups import TEMPLATES_LIMIT
from shared.events.catalogue import MessageAccepted, NumberConnected
from shared.events.values import WindowPolicy
from shared.ids import new_id
from tests.integration.gateway.serving import Answer, Gateway, Tenant

TEXT = {"text": {"body": "hello"}}


@pytest.fixture
async def tenant(gateway: Gateway) -> Tenant:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    return tenant


async def made(gateway: Gateway, tenant: Tenant, path: str, body: Any) -> str:
    answer = await gateway.call("POST", path, body, tenant)
    assert answer.status == 201, answer.text
    await gateway.told()
    return str(answer.body["id"])


async def contact(gateway: Gateway, tenant: Tenant, **body: Any) -> str:
    return await made(gateway, tenant, "/api/contacts", {"phone": "+15551234567", "name": "Ada", **body})


async def template(gateway: Gateway, tenant: Tenant, name: str = "order", **body: Any) -> str:
    body = {"name": name, "language": "en", "body": "Dear {{name}}, {{order}} is here.", **body}
    return await made(gateway, tenant, "/api/templates", body)


async def post(gateway: Gateway, tenant: Tenant, body: Any, **headers: str) -> Answer:
    return await gateway.call("POST", "/api/messages", body, tenant, **headers)


async def accepted(gateway: Gateway) -> list[MessageAccepted]:
    return [event for event in await gateway.told() if isinstance(event, MessageAccepted)]


def faults(answer: Answer) -> list[tuple[str, str]]:
    assert answer.status == 422, answer.text
    return [(fault["pointer"], fault["code"]) for fault in answer.body["errors"]]


async def test_a_message_to_a_contact_goes_to_its_phone_number(gateway: Gateway, tenant: Tenant) -> None:
    ada = await contact(gateway, tenant)
    for headers in ({}, {"Idempotency-Key": "a"}):
        answer = await post(gateway, tenant, {"to": {"contact_id": ada}, **TEXT}, **headers)
        assert answer.status == 202, answer.text
        [told] = await accepted(gateway)
        assert told.to == "+15551234567"
        shown = (await gateway.call("GET", f"/api/messages/{answer.body['id']}", tenant=tenant)).body
        assert (shown["to"], shown["contact_id"]) == ("+15551234567", ada)


async def test_what_there_is_not_is_refused_by_name(gateway: Gateway, tenant: Tenant) -> None:
    nameless = await contact(gateway, tenant, phone=None, username="ada.l")
    other = await gateway.new_tenant("Other")
    hers = await contact(gateway, other)
    refused: list[tuple[Any, list[tuple[str, str]]]] = [
        ({"to": {"contact_id": nameless}, **TEXT}, [("/to/contact_id", "contact.no_phone")]),
        ({"to": {"contact_id": hers}, **TEXT}, [("/to/contact_id", "contact.unknown")]),
        ({"to": {"contact_id": new_id("ctc")}, **TEXT}, [("/to/contact_id", "contact.unknown")]),
        ({"to": {"contact_id": "1"}, **TEXT}, [("/to/contact_id", "field.format")]),
        ({"to": {}, **TEXT}, [("/to", "recipient.one_of")]),
        ({"to": {"contact_id": hers, "whatsapp_group": "1"}, **TEXT}, [("/to", "recipient.one_of")]),
        ({"to": {"whatsapp_group": "a b"}, **TEXT}, [("/to/whatsapp_group", "field.format")]),
        ({"to": "us.1349", **TEXT}, [("/to", "phone.invalid")]),
        ({"to": {"contact_id": hers, "x": 1}, **TEXT}, [("/to/x", "field.unknown")]),
        ({"to": 7, **TEXT}, [("/to", "field.type")]),
        ({"to": "+1" * 80, **TEXT}, [("/to", "field.too_long")]),
        ({"to": "+15551234567", "template_id": new_id("tpl")}, [("/template_id", "template.unknown")]),
        ({"to": "+15551234567", "template_id": "x"}, [("/template_id", "field.format")]),
        ({"to": "+15551234567", "variables": {"a": "b"}, **TEXT}, [("/variables", "field.surplus")]),
        ({"to": "+15551234567", "consent": "maybe", **TEXT}, [("/consent", "field.choice")]),
    ]
    for body, expected in refused:
        assert faults(await post(gateway, tenant, body)) == expected, body


async def test_a_template_says_what_its_variables_say(gateway: Gateway, tenant: Tenant) -> None:
    ada, order = await contact(gateway, tenant), await template(gateway, tenant)
    body = {"to": {"contact_id": ada}, "template_id": order, "variables": {"order": "parcel {{7}}"}}
    assert (await post(gateway, tenant, body)).status == 202
    [told] = await accepted(gateway)
    assert told.content == {"type": "text", "text": {"body": "Dear Ada, parcel {{7}} is here."}}
    by_phone = {"to": "+15557654321", "template_id": order, "variables": {"order": "it", "name": "Bo"}}
    assert (await post(gateway, tenant, by_phone)).status == 202
    [told] = await accepted(gateway)
    assert told.content["text"]["body"] == "Dear Bo, it is here."


async def test_a_missing_variable_is_named_and_nothing_is_sent(gateway: Gateway, tenant: Tenant) -> None:
    order = await template(gateway, tenant)
    answer = await post(gateway, tenant, {"to": "+15551234567", "template_id": order, "variables": {"order": "it"}})
    assert faults(answer) == [("/variables/name", "variable.missing")]
    both = await post(gateway, tenant, {"to": "+15551234567", "template_id": order, "variables": {}, **TEXT})
    assert ("/text", "field.surplus") in faults(both)
    assert await accepted(gateway) == []


async def test_a_batch_looks_all_of_it_up_and_each_fault_costs_its_message_only(gateway: Gateway, tenant: Tenant) -> None:
    ada, order = await contact(gateway, tenant), await template(gateway, tenant, defaults={"order": "your order"})
    lines = [
        {"to": {"contact_id": ada}, "template_id": order},
        {"to": {"contact_id": new_id("ctc")}, **TEXT},
        {"to": "+15557654321", "template_id": order},
        {"to": "+15557654321", **TEXT},
    ]
    answer = await gateway.call("POST", "/api/messages/batch", lines, tenant)
    assert (answer.status, answer.body["accepted"], answer.body["rejected"]) == (202, 2, 2)
    wrong = {result["index"]: result["errors"][0] for result in answer.body["results"] if "errors" in result}
    assert {index: (fault["pointer"], fault["code"]) for index, fault in wrong.items()} == {
        1: ("/1/to/contact_id", "contact.unknown"),
        2: ("/2/variables/name", "variable.missing"),
    }
    told = {event.content["text"]["body"] for event in await accepted(gateway)}
    assert told == {"Dear Ada, your order is here.", "hello"}


async def test_a_batch_names_so_many_templates_and_no_more(gateway: Gateway, tenant: Tenant) -> None:
    ids = [await template(gateway, tenant, f"t{number}", body="hi") for number in range(TEMPLATES_LIMIT + 1)]
    lines = [{"to": "+15551234567", "template_id": one} for one in ids]
    answer = await gateway.call("POST", "/api/messages/batch", lines, tenant)
    assert (answer.body["accepted"], answer.body["rejected"]) == (TEMPLATES_LIMIT, 1)
    assert answer.body["results"][-1]["errors"][0]["code"] == "template.too_many"


async def test_consent_is_needed_unless_it_is_said_not_to_be(gateway: Gateway, tenant: Tenant) -> None:
    for consent, needed in ((None, True), ("required", True), ("not_required", False)):
        body = {"to": "+15551234567", **TEXT, **({} if consent is None else {"consent": consent})}
        assert (await post(gateway, tenant, body)).status == 202
        [told] = await accepted(gateway)
        assert (told.needs_consent, told.run_id, told.hours) == (needed, None, None)


async def test_a_number_says_what_becomes_of_what_is_said_outside_the_window(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    number = await gateway.connect(tenant, "1001")
    path = f"/api/numbers/{number}"
    shown = (await gateway.call("GET", path, tenant=tenant)).body
    assert shown["window_policy"] == "enforce"
    changed = await gateway.call("PATCH", path, {"window_policy": "ignore"}, tenant)
    assert changed.body["window_policy"] == "ignore"
    [told] = await gateway.told()
    assert isinstance(told, NumberConnected)
    assert told.window_policy is WindowPolicy.IGNORE
    assert told.connected_at is not None
    assert told.connected_at.isoformat().replace("+00:00", "Z") == shown["created_at"]
    assert (await gateway.call("PATCH", path, {"window_policy": None}, tenant)).body["window_policy"] == "ignore"
    assert (await gateway.call("PATCH", path, {"window_policy": "x"}, tenant)).status == 422
