"""Every type of message is taken in its fullest form, and refused with the member's name where Meta would refuse it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from services.sandbox.domain.interactive import KINDS
from tests.contract.sandbox.running import NUMBER, TOKEN, Client, receiving, running
from tests.contract.sandbox.test_media import upload

READER = "19991230003"
LINK = {"link": "https://example.com/a.jpg"}
WAMID = "wamid.HBgLMTU1NTEyMzQ1NjcVAgARGBI2QjQ3RTI2RjA1QzQzRTNGNUEA"
REPLY = {"type": "reply", "reply": {"id": "yes", "title": "Yes"}}
ROW = {"id": "1", "title": "One", "description": "The first"}
TOTAL = {"value": 100, "offset": 100}
SAID = {"type": "body", "parameters": [{"type": "text", "text": "a"}]}
CARD = {
    "card_index": 0,
    "type": "cta_url",
    "header": {"type": "image", "image": LINK},
    "body": {"text": "One\nTwo"},
    "action": {"name": "cta_url", "parameters": {"display_text": "Go", "url": "https://example.com"}},
}


def interactive(type_: str, action: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"type": "interactive", "interactive": {"type": type_, "body": {"text": "Well?"}, "action": action, **members}}


def named(name: str, **parameters: Any) -> dict[str, Any]:
    return {"name": name, "parameters": parameters} if parameters else {"name": name}


GOOD: dict[str, dict[str, Any]] = {
    "image": {"type": "image", "image": {**LINK, "caption": "x" * 1024}},
    "null caption": {"type": "video", "video": {**LINK, "caption": None}},
    "audio": {"type": "audio", "audio": {**LINK, "voice": True}},
    "document": {"type": "document", "document": {**LINK, "filename": "a.pdf", "caption": "a"}},
    "sticker": {"type": "sticker", "sticker": LINK},
    "location": {"type": "location", "location": {"latitude": "0", "longitude": -180, "name": "Here", "address": "There"}},
    "contacts": {
        "type": "contacts",
        "contacts": [
            {
                "name": {"formatted_name": "Ana N", "first_name": "Ana"},
                "phones": [{"phone": "+1", "type": "HOME"}],
                "birthday": "2000-01-31",
                "org": {"company": "x"},
            }
        ],
    },
    "contacts as text": {"type": "contacts", "contacts": '[{"name":{"formatted_name":"A","first_name":"A"}}]'},
    "reaction": {"type": "reaction", "reaction": {"message_id": WAMID, "emoji": "👍🏽"}},
    "no reaction": {"type": None, "text": None, "reaction": {"message_id": WAMID, "emoji": ""}},
    "button": interactive("button", {"buttons": [REPLY]}, header={"type": "text", "text": "H"}, footer={"text": "F"}),
    "list": interactive("list", {"button": "Open", "sections": [{"title": "S", "rows": [ROW]}]}, header=None),
    "cta_url": interactive("cta_url", named("cta_url", display_text="Go", url="https://example.com")),
    "flow": interactive("flow", named("flow", flow_message_version="3", flow_id="1", flow_cta="Book", flow_token="t")),
    "product": interactive("product", {"catalog_id": "1", "product_retailer_id": "2"}, body=None),
    "product_list": interactive(
        "product_list",
        {"catalog_id": "1", "sections": [{"title": "S", "product_items": [{"product_retailer_id": "2"}]}]},
        header={"type": "text", "text": "H"},
    ),
    "catalog_message": interactive("catalog_message", named("catalog_message", thumbnail_product_retailer_id="2")),
    "location_request_message": interactive("location_request_message", named("send_location")),
    "address_message": interactive("address_message", named("address_message", country="IN")),
    "call_permission_request": interactive("call_permission_request", named("call_permission_request"), body=None),
    "voice_call": interactive("voice_call", named("voice_call", display_text="Call", ttl_minutes=100)),
    "request_contact_info": interactive("request_contact_info", named("request_contact_info")),
    "carousel": interactive("carousel", {"cards": [CARD, {**CARD, "card_index": 1}]}),
    "order_details": interactive(
        "order_details",
        named(
            "review_and_pay",
            reference_id="r1",
            type="digital-goods",
            currency="BRL",
            total_amount=TOTAL,
            order={"status": "pending", "items": [{"name": "Pen", "amount": TOTAL, "quantity": 1}]},
        ),
    ),
    "order_status": interactive("order_status", named("review_order", reference_id="r1", order={"status": "shipped"})),
    "template": {
        "type": "template",
        "template": {
            "name": "any",
            "language": {"code": "en_US", "policy": "deterministic"},
            "components": [
                {"type": "HEADER", "parameters": [{"type": "image", "image": LINK}]},
                {
                    "type": "body",
                    "parameters": [
                        {"type": "text", "text": "Ana"},
                        {"type": "currency", "currency": {"fallback_value": "$1", "code": "USD", "amount_1000": 1000}},
                    ],
                },
                {
                    "type": "button",
                    "sub_type": "COPY_CODE",
                    "index": 0,
                    "parameters": [{"type": "coupon_code", "coupon_code": "A"}],
                },
                {
                    "type": "carousel",
                    "cards": [{"card_index": index, "components": [SAID]} for index in (0, 1)],
                },
                {"type": "limited_time_offer", "parameters": []},
            ],
        },
    },
    "context": {"context": {"message_id": WAMID}},
    "no context": {"context": None},
}

BAD: list[tuple[str, str, list[Any], Any, int, str]] = [
    # what, of which good one, where, the value put there, code, what the details name
    ("long caption", "image", ["image", "caption"], "x" * 1025, 100, "caption"),
    ("no link", "image", ["image", "link"], "ftp://example.com", 131009, "image.link"),
    ("caption of audio", "audio", ["audio", "caption"], "x", 131009, "audio.caption"),
    ("voice", "audio", ["audio", "voice"], "yes", 131009, "audio.voice"),
    ("filename", "document", ["document", "filename"], "x" * 241, 131009, "document.filename"),
    ("latitude", "location", ["location", "latitude"], 90.5, 131009, "location.latitude"),
    ("no longitude", "location", ["location", "longitude"], None, 131008, "location.longitude"),
    ("text as longitude", "location", ["location", "longitude"], "east", 131009, "location.longitude"),
    ("no name", "contacts", ["contacts", 0, "name"], None, 131008, "contacts[0].name"),
    ("no name's part", "contacts", ["contacts", 0, "name", "first_name"], None, 131008, "contacts[0].name.first_name"),
    ("birthday", "contacts", ["contacts", 0, "birthday"], "31.1.2000", 131009, "contacts[0].birthday"),
    ("phones", "contacts", ["contacts", 0, "phones"], {}, 131009, "contacts[0].phones"),
    ("no emoji", "reaction", ["reaction", "emoji"], "ok", 131009, "reaction.emoji"),
    ("unknown kind", "button", ["interactive", "type"], "slider", 131009, "interactive.type"),
    ("no body", "button", ["interactive", "body"], None, 131008, "interactive.body"),
    ("long body", "button", ["interactive", "body", "text"], "x" * 1025, 131009, "interactive.body.text"),
    ("long header", "button", ["interactive", "header", "text"], "x" * 61, 131009, "interactive.header.text"),
    ("long footer", "button", ["interactive", "footer", "text"], "x" * 61, 131009, "interactive.footer.text"),
    ("four buttons", "button", ["interactive", "action", "buttons"], [REPLY] * 4, 131009, "action.buttons"),
    ("the same button", "button", ["interactive", "action", "buttons"], [REPLY] * 2, 131009, "reply.id"),
    ("long title", "button", ["interactive", "action", "buttons", 0, "reply", "title"], "x" * 21, 131009, "reply.title"),
    ("long id", "button", ["interactive", "action", "buttons", 0, "reply", "id"], "x" * 257, 131009, "reply.id"),
    ("header of a list", "list", ["interactive", "header"], {"type": "image", "image": LINK}, 131009, "header.type"),
    ("list's button", "list", ["interactive", "action", "button"], "x" * 21, 131009, "action.button"),
    ("rows", "list", ["interactive", "action", "sections", 0, "rows"], [ROW] * 11, 131009, "sections[0].rows"),
    ("the same row", "list", ["interactive", "action", "sections", 0, "rows"], [ROW] * 2, 131009, "rows.id"),
    ("row's title", "list", ["interactive", "action", "sections", 0, "rows", 0, "title"], "x" * 25, 131009, "rows[0].title"),
    ("two sections", "list", ["interactive", "action", "sections"], [{"rows": [ROW]}] * 2, 131008, "sections[0].title"),
    ("link", "cta_url", ["interactive", "action", "parameters", "url"], "example.com", 131009, "parameters.url"),
    ("action's name", "cta_url", ["interactive", "action", "name"], "flow", 131009, "action.name"),
    ("flow's button", "flow", ["interactive", "action", "parameters", "flow_cta"], "x" * 31, 131009, "flow_cta"),
    ("two flows", "flow", ["interactive", "action", "parameters", "flow_name"], "x", 131009, "flow_name"),
    ("product's header", "product", ["interactive", "header"], {"type": "text", "text": "H"}, 131009, "header"),
    ("no header", "product_list", ["interactive", "header"], None, 131008, "header"),
    ("footer", "location_request_message", ["interactive", "footer"], {"text": "F"}, 131009, "footer"),
    ("one card", "carousel", ["interactive", "action", "cards"], [CARD], 131009, "cards"),
    ("the same card", "carousel", ["interactive", "action", "cards"], [CARD, CARD], 131009, "card_index"),
    ("card's body", "carousel", ["interactive", "action", "cards", 0, "body", "text"], "x" * 161, 131009, "body.text"),
    ("lines", "carousel", ["interactive", "action", "cards", 0, "body", "text"], "a\nb\nc\nd", 131009, "line breaks"),
    (
        "total",
        "order_details",
        ["interactive", "action", "parameters", "total_amount", "value"],
        "1",
        131009,
        "total_amount.value",
    ),
    ("state", "order_status", ["interactive", "action", "parameters", "order", "status"], "lost", 131009, "order.status"),
    ("ttl", "voice_call", ["interactive", "action", "parameters", "ttl_minutes"], 50_000, 131009, "ttl_minutes"),
    ("sub type", "template", ["template", "components", 2, "sub_type"], "lever", 131009, "components[2].sub_type"),
    ("coupon", "template", ["template", "components", 2, "parameters", 0, "coupon_code"], "x" * 16, 131009, "coupon_code"),
    (
        "card's part",
        "template",
        ["template", "components", 3, "cards", 0, "components", 0, "type"],
        "carousel",
        131009,
        "cards[0]",
    ),
    ("files", "template", ["template", "components", 0, "parameters", 0, "image"], {}, 131008, "parameters[0].image"),
]


async def send(client: Client, members: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    return await client.send(READER, **{"text": None, **members} if "type" in members else members)


@pytest.mark.parametrize("name", GOOD)
async def test_a_good_message_is_taken(name: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await send(client, GOOD[name])
        assert status == 200, answer
        await receiver.until(lambda: len(receiver.statuses()) > 0)
        assert receiver.statuses()[0]["status"] == "sent"


def test_every_interactive_kind_is_shown() -> None:
    assert set(KINDS) <= set(GOOD)


@pytest.mark.parametrize(("name", "where", "value", "code", "named_"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
async def test_a_bad_member_is_named(name: str, where: list[Any], value: Any, code: int, named_: str) -> None:
    message = deepcopy(GOOD[name])
    place: Any = message
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await send(client, message)
        assert (status, answer["error"]["code"]) == (400, code), answer
        assert named_ in answer["error"]["error_data"]["details"]


async def test_a_file_must_be_there_and_of_the_messages_kind() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        media_id = (await upload(client))[1]["id"]
        status, answer = await client.send(READER, type="image", image={"id": media_id})
        assert status == 200
        await receiver.until(lambda: len(receiver.statuses(answer["messages"][0]["id"])) == 3)
        _, answer = await client.send(READER, type="audio", audio={"id": media_id})
        await receiver.until(lambda: len(receiver.statuses(answer["messages"][0]["id"])) == 1)
        assert receiver.statuses()[-1]["errors"][0]["code"] == 131053
        assert (await client.send(READER, type="document", document={"id": media_id}))[0] == 200
        status, answer = await client.send(READER, type="image", image={"id": "123"})
        assert (status, answer["error"]["code"]) == (400, 100)
        assert "image['id']" in answer["error"]["error_data"]["details"]
        await client.control("PATCH", "behaviour", {"strict_media": False})
        assert (await client.send(READER, type="image", image={"id": "123"}))[0] == 200


async def test_a_reaction_to_what_is_no_message_fails_later() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, _ = await client.send(READER, type="reaction", reaction={"message_id": "msg_1", "emoji": "👍"})
        assert status == 200
        await receiver.until(lambda: len(receiver.statuses()) == 1)
        assert receiver.statuses()[0]["errors"][0]["code"] == 131009


async def test_a_group_gets_what_groups_can_get() -> None:
    group = "Y2FwaV9ncm91cDox"
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.send(group, recipient_type="group")
        assert status == 200
        assert answer["messages"][0]["group_id"] == group
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        status_ = receiver.statuses()[0]
        assert (status_["recipient_id"], status_["recipient_type"]) == (group, "group")
        assert status_["recipient_participant_id"].isdigit()
        pin = {"type": "pin", "message_id": WAMID, "expiration_days": 7}
        assert (await client.send(group, recipient_type="group", type="pin", pin=pin))[0] == 200
        status, answer = await client.send(group, recipient_type="group", **GOOD["button"])
        assert (status, answer["error"]["code"]) == (400, 131051)


async def test_the_marketing_endpoint_takes_marketing_templates() -> None:
    path = f"/v25.0/{NUMBER}/marketing_messages"
    message = {"messaging_product": "whatsapp", "to": READER, **GOOD["template"]}
    async with receiving() as receiver, running(receiver.url) as client:
        assert (await client.post(path, message, TOKEN))[0] == 200
        status, answer = await client.post(path, {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}})
        assert (status, answer["error"]["code"]) == (400, 134100)
        await client.control("PUT", "templates/102290129340398/any/en_US", {"category": "UTILITY"})
        status, answer = await client.post(path, message, TOKEN)
        assert answer["error"]["code"] == 134100


async def test_user_ids_stand_beside_numbers_where_that_is_wanted() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"user_ids": True})
        await client.send("15551234567")
        await receiver.until(lambda: len(receiver.messages()) == 1 and len(receiver.statuses()) == 3)
        user_id = receiver.messages()[0]["from_user_id"]
        assert {status["recipient_user_id"] for status in receiver.statuses()} == {user_id}
        assert all(value["contacts"][0]["user_id"] == user_id for value in receiver.values())
