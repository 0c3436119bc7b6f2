"""An account's templates: listed, created, deleted, turned by the control API, and what a message of one is answered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.sandbox.running import TOKEN, Client, Receiver, receiving, running

WABA = "102290129340398"
LIST = f"/v23.0/{WABA}/message_templates"
CONTROL = f"templates/{WABA}/order/en_US"
BODY = {"type": "BODY", "text": "Hello {{1}}, order {{2}}"}
READER = "19991230003"


async def call(client: Client, method: str, path: str, body: Any = None, token: str = TOKEN) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = path if path.startswith("http") else client.base + path
    async with client.session.request(method, url, json=body, headers=headers) as response:
        return response.status, await response.json()


async def send(client: Client, name: str = "order", *texts: str) -> Any:
    components = [{"type": "body", "parameters": [{"type": "text", "text": text} for text in texts]}] if texts else []
    template = {"name": name, "language": {"code": "en_US"}, "components": components}
    _, answer = await client.send(READER, type="template", template=template)
    return answer["error"]["code"] if "error" in answer else answer["messages"][0]["message_status"]


def told(receiver: Receiver) -> list[dict[str, Any]]:
    """Changes about templates, each with its field, account and time."""
    return [
        {**change["value"], "field": change["field"], "account": entry["id"], "time": entry["time"]}
        for payload in receiver.taken
        for entry in payload["entry"]
        for change in entry["changes"]
        if "message_template_name" in change["value"]
    ]


async def test_a_created_template_is_listed_sent_and_deleted() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        assert await call(client, "GET", LIST) == (200, {"data": []})
        new = {
            "name": "order",
            "language": "en_US",
            "category": "MARKETING",
            "components": [BODY],
            "allow_category_change": True,
        }
        status, created = await call(client, "POST", LIST, new)
        assert (status, created["status"], created["category"]) == (200, "APPROVED", "MARKETING")
        _, page = await call(client, "GET", LIST)
        assert page["data"][0]["id"] == created["id"]
        assert (page["data"][0]["name"], page["data"][0]["components"]) == ("order", [BODY])
        assert page["paging"].keys() == {"cursors"}
        assert (await call(client, "POST", LIST, new))[1]["error"]["code"] == 100
        assert await send(client, "order", "Ana", "77") == "accepted"
        assert await send(client, "order", "Ana") == 132000
        assert await send(client, "order") == 132000
        assert await call(client, "DELETE", f"{LIST}?name=order") == (200, {"success": True})
        _, gone = await call(client, "DELETE", f"{LIST}?name=order")
        assert (gone["error"]["code"], gone["error"]["error_subcode"]) == (100, 2593002)


async def test_pages_follow_each_other_by_cursor_and_by_address() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        for number in range(5):
            await client.control("PUT", f"templates/{WABA}/t{number}/en", {"status": "PAUSED" if number == 3 else "APPROVED"})
        names: list[str] = []
        url: str | None = f"{LIST}?limit=2&fields=name"
        while url is not None:
            _, page = await call(client, "GET", url)
            assert all(item.keys() == {"id", "name"} for item in page["data"])
            names += [item["name"] for item in page["data"]]
            url = page["paging"].get("next")
        assert names == [f"t{number}" for number in range(5)]
        _, second = await call(client, "GET", f"{LIST}?limit=2&after={page['paging']['cursors']['after']}")
        assert second == {"data": []}
        _, paused = await call(client, "GET", f"{LIST}?status=PAUSED")
        assert [item["name"] for item in paused["data"]] == ["t3"]
        for wrong in ("limit=0", "limit=x", "after=!", "fields=nothing"):
            status, answer = await call(client, "GET", f"{LIST}?{wrong}")
            assert (status, answer["error"]["code"]) == (400, 100)


async def test_only_a_token_of_the_accounts_opens_it() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        assert (await call(client, "GET", LIST, token=""))[1]["error"]["code"] == 104
        assert (await call(client, "GET", LIST, token="wrong"))[1]["error"]["code"] == 190
        _, elsewhere = await call(client, "GET", "/v23.0/999/message_templates")
        assert (elsewhere["error"]["code"], elsewhere["error"]["error_subcode"]) == (100, 33)


@pytest.mark.parametrize(
    ("status", "code"), [("PAUSED", 132015), ("DISABLED", 132016), ("REJECTED", 132001), ("PENDING", 132001)]
)
async def test_a_template_that_is_not_approved_is_refused(status: str, code: int) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PUT", CONTROL, {"status": status})
        assert await send(client) == code
        await client.control("PATCH", CONTROL, {"status": "APPROVED"})
        assert await send(client) == "accepted"


async def test_what_is_unknown_is_sent_unless_strict() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        assert await send(client, "nobody_knows") == "accepted"
        await client.control("PATCH", "behaviour", {"strict_templates": True})
        assert await send(client, "nobody_knows") == 132001


async def test_the_control_api_tells_what_it_changes() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, made = await client.control("PUT", CONTROL, {"components": [BODY]})
        await client.control("PATCH", CONTROL, {"status": "PAUSED"})
        await client.control("PATCH", CONTROL, {"status": "APPROVED", "quality": "RED", "category": "MARKETING"})
        await receiver.until(lambda: len(told(receiver)) == 4)
        assert receiver.all_are_signed()
        changes = told(receiver)
        assert {change["account"] for change in changes} == {WABA}
        assert {change["message_template_id"] for change in changes} == {int(made["id"])}
        found = {change["field"]: change for change in changes if change.get("event") != "PAUSED"}
        assert found["message_template_status_update"]["event"] == "REINSTATED"
        assert found["message_template_quality_update"]["new_quality_score"] == "RED"
        assert found["template_category_update"]["new_category"] == "MARKETING"
        assert all(isinstance(change["time"], int) for change in changes)


async def test_a_template_may_have_to_wait_for_its_review() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PATCH", "behaviour", {"templates_approved": False})
        _, created = await call(client, "POST", LIST, {"name": "order", "language": "en_US", "components": [BODY]})
        assert created["status"] == "PENDING"
        assert await send(client, "order", "a", "b") == 132001


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"templates/{WABA}/Order/en_US", {}),
        ("PUT", f"templates/{WABA}/order/english", {}),
        ("PUT", "templates/x/order/en_US", {}),
        ("PUT", CONTROL, {"status": "GREAT"}),
        ("PUT", CONTROL, {"more": 1}),
        ("PATCH", f"templates/{WABA}/nobody/en_US", {"status": "PAUSED"}),
        ("POST", "templates", {}),
    ],
)
async def test_what_the_control_api_cannot_take_is_refused(method: str, path: str, body: dict[str, Any]) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.control(method, path, body)
        assert status in (400, 404)
        assert answer["error"]["code"] == 100
