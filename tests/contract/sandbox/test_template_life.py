"""A template's life: made by the rules, reviewed, edited, paced, paused; and what a message must give it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.contract.sandbox.running import DEADLINE_SECONDS, Client, Receiver, receiving, running
from tests.contract.sandbox.test_templates import WABA, call, told

LIST = f"/v23.0/{WABA}/message_templates"
READER = "19991230003"
BODY = {"type": "BODY", "text": "Hello {{1}}, your order {{2}} is here."}
LINK = {"link": "https://example.com/a.png"}


def new(name: str = "order", *components: dict[str, Any], **members: Any) -> dict[str, Any]:
    return {"name": name, "language": "en_US", "category": "UTILITY", "components": list(components) or [BODY], **members}


async def send(client: Client, name: str, *components: dict[str, Any], **members: Any) -> Any:
    """`message_status`, or the code of the refusal."""
    template = {"name": name, "language": {"code": "en_US"}, "components": list(components)}
    _, answer = await client.send(READER, type="template", template=template, text=None, **members)
    return answer["error"]["code"] if "error" in answer else answer["messages"][0]["message_status"]


def texts(kind: str, *values: str, **names: str) -> dict[str, Any]:
    parameters = [{"type": "text", "text": value} for value in values]
    parameters += [{"type": "text", "text": value, "parameter_name": name} for name, value in names.items()]
    return {"type": kind, "parameters": parameters}


def events(receiver: Receiver) -> list[str]:
    return [value["event"] for value in told(receiver) if value["field"] == "message_template_status_update"]


@pytest.mark.parametrize(
    ("name", "event", "reason"),
    [
        ("order", "APPROVED", "NONE"),
        ("order_rejected", "REJECTED", "INVALID_FORMAT"),
        ("order_rejected_promotional", "REJECTED", "PROMOTIONAL"),
    ],
)
async def test_a_review_ends_as_the_name_says(name: str, event: str, reason: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"review_seconds": 1})
        _, created = await call(client, "POST", LIST, new(name))
        assert created["status"] == "PENDING"
        assert await send(client, name) == 132001
        await receiver.until(lambda: events(receiver) == [event])
        assert told(receiver)[0]["reason"] == reason
        _, node = await call(client, "GET", f"/v23.0/{created['id']}?fields=status,rejected_reason,name")
        assert node == {"status": event, "rejected_reason": reason, "name": name, "id": created["id"]}


async def test_an_edit_is_reviewed_and_counted() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, created = await call(client, "POST", LIST, new())
        path = f"/v23.0/{created['id']}"
        changed = {"components": [{"type": "BODY", "text": "Done."}], "message_send_ttl_seconds": 60}
        status, answer = await call(client, "POST", path, changed)
        assert (status, answer["success"]) == (200, True)
        _, node = await call(client, "GET", path)
        assert (node["components"], node["message_send_ttl_seconds"]) == (changed["components"], 60)
        status, answer = await call(client, "POST", path, changed)
        assert (status, answer["error"]["code"]) == (400, 100)
        await client.control("PATCH", "behaviour", {"time_scale": 10_000_000, "templates_approved": False})
        async with asyncio.timeout(DEADLINE_SECONDS):
            while (await call(client, "POST", path, changed))[0] != 200:
                await asyncio.sleep(0.005)
        assert "PENDING" in (await call(client, "POST", path, changed))[1]["error"]["error_data"]["details"]
        assert (await call(client, "GET", f"{LIST}/{created['id']}"))[1]["status"] == "PENDING"
        assert await call(client, "DELETE", path) == (200, {"success": True})
        assert (await call(client, "GET", path))[1]["error"]["code"] == 100


async def test_a_pause_can_be_lifted() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, created = await call(client, "POST", LIST, new())
        await client.control("PATCH", f"templates/{WABA}/order/en_US", {"status": "PAUSED"})
        path = f"/v23.0/{created['id']}/unpause"
        assert await call(client, "POST", path) == (200, {"success": True})
        assert (await call(client, "POST", path))[1]["error"]["code"] == 100
        await receiver.until(lambda: events(receiver) == ["APPROVED", "PAUSED", "REINSTATED"])
        paused = next(value for value in told(receiver) if value.get("event") == "PAUSED")
        assert paused["other_info"]["title"] == "FIRST_PAUSE"


async def test_held_messages_go_on_or_are_dropped() -> None:
    control = f"templates/{WABA}/order/en_US"
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PUT", control, {"category": "MARKETING", "pacing": "held"})
        assert await send(client, "order", biz_opaque_callback_data="first") == "held_for_quality_assessment"
        await client.control("PATCH", control, {"pacing": "none"})
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        assert receiver.statuses()[0]["pricing"]["category"] == "marketing"
        await client.control("PATCH", control, {"pacing": "held"})
        assert await send(client, "order", biz_opaque_callback_data="second") == "held_for_quality_assessment"
        await client.control("PATCH", control, {"status": "PAUSED"})
        await receiver.until(lambda: len(receiver.statuses()) == 4)
        dropped = receiver.statuses()[-1]
        assert (dropped["biz_opaque_callback_data"], dropped["errors"][0]["code"]) == ("second", 132015)
        await client.control("PATCH", control, {"status": "APPROVED", "pacing": "paused"})
        assert await send(client, "order") == "paused"


async def test_authentication_templates_are_made_in_several_languages() -> None:
    path = f"/v23.0/{WABA}/upsert_message_templates"
    body = {"name": "code", "category": "AUTHENTICATION", "languages": ["en_US", "es"], "components": [{"type": "BODY"}]}
    async with receiving() as receiver, running(receiver.url) as client:
        _, made = await call(client, "POST", path, body)
        assert [(item["language"], item["status"]) for item in made["data"]] == [("en_US", "APPROVED"), ("es", "APPROVED")]
        _, again = await call(client, "POST", path, body)
        assert [item["id"] for item in again["data"]] == [item["id"] for item in made["data"]]
        assert (await call(client, "POST", path, {**body, "languages": []}))[1]["error"]["code"] == 100
        assert await send(client, "code", to=None, recipient="US.1349") == 131062


async def test_the_list_can_be_summed_up() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await call(client, "POST", LIST, new())
        _, page = await call(client, "GET", f"{LIST}?summary=total_count&content=order")
        assert (page["summary"]["total_count"], page["summary"]["message_template_count"]) == (1, 1)
        assert (await call(client, "GET", f"{LIST}?content=nothing"))[1]["data"] == []


@pytest.mark.parametrize(
    ("component", "subcode"),
    [
        ({"type": "BODY", "text": "x" * 1025}, 2388040),
        ({"type": "HEADER", "format": "TEXT", "text": "x" * 61}, 2388040),
        ({"type": "HEADER", "format": "TEXT", "text": "{{1}} {{2}}"}, 2388047),
        ({"type": "HEADER", "format": "SMELL"}, 2388047),
        ({"type": "FOOTER", "text": "{{1}}"}, 2388073),
        ({"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "x" * 26}]}, 2388040),
        ({"type": "BUTTONS", "buttons": [{"type": "QUICK_REPLY", "text": "x"}] * 11}, None),
        ({"type": "TAIL"}, None),
        ({"type": "BODY", "text": "ends with {{1}}"}, 2388299),
    ],
)
async def test_what_breaks_the_rules_is_not_made(component: dict[str, Any], subcode: int | None) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"refuse_edge_variables": True})
        status, answer = await call(client, "POST", LIST, new("order", component))
        assert (status, answer["error"]["code"], answer["error"].get("error_subcode")) == (400, 100, subcode)


IMAGE = {"type": "HEADER", "format": "IMAGE"}
BUTTONS = {
    "type": "BUTTONS",
    "buttons": [
        {"type": "URL", "text": "Track", "url": "https://example.com/{{1}}"},
        {"type": "URL", "text": "Home", "url": "https://example.com/"},
        {"type": "QUICK_REPLY", "text": "Stop"},
    ],
}
CARDS = {"type": "CAROUSEL", "cards": [{"components": [IMAGE, {"type": "BODY", "text": "One {{1}}"}]}] * 2}
HEAD = {"type": "header", "parameters": [{"type": "image", "image": LINK}]}
SUFFIX = {"type": "button", "sub_type": "url", "index": "0", "parameters": [{"type": "text", "text": "77"}]}


def card(index: int, *values: str) -> dict[str, Any]:
    return {"card_index": index, "components": [HEAD, texts("body", *values)]}


@pytest.mark.parametrize(
    ("defined", "given", "outcome"),
    [
        ([IMAGE, BODY, BUTTONS], [HEAD, texts("body", "a", "b"), SUFFIX], "accepted"),
        ([IMAGE], [], 132012),
        ([IMAGE], [{"type": "header", "parameters": [{"type": "video", "video": LINK}]}], 132012),
        ([BODY], [texts("body", "a")], 132000),
        ([BODY], [texts("body", a="a", b="b")], 132018),
        ([BODY], [{"type": "body", "parameters": [{"type": "image", "image": LINK}] * 2}], 132012),
        ([BUTTONS], [], 131008),
        ([BUTTONS], [SUFFIX, {**SUFFIX, "index": "1"}], 132018),
        ([BUTTONS], [SUFFIX, {**SUFFIX, "index": "7"}], 132018),
        ([CARDS], [{"type": "carousel", "cards": [card(0, "a"), card(1, "b")]}], "accepted"),
        ([CARDS], [{"type": "carousel", "cards": [card(0, "a"), card(1, "b"), card(2, "c")]}], 132012),
        ([CARDS], [{"type": "carousel", "cards": [card(0, "a"), card(1)]}], 132000),
    ],
)
async def test_a_message_gives_what_the_template_takes(
    defined: list[dict[str, Any]], given: list[dict[str, Any]], outcome: Any
) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PUT", f"templates/{WABA}/order/en_US", {"components": defined})
        assert await send(client, "order", *given) == outcome


async def test_named_parameters_are_named() -> None:
    spec = {"components": [{"type": "BODY", "text": "Hello {{first}}, {{second}}!"}], "parameter_format": "NAMED"}
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PUT", f"templates/{WABA}/order/en_US", spec)
        assert await send(client, "order", texts("body", first="a", second="b")) == "accepted"
        assert await send(client, "order", texts("body", first="a", third="b")) == 132018
        assert await send(client, "order", texts("body", "a", "b")) == 132018
        assert await send(client, "order", texts("body", first="a")) == 132000
