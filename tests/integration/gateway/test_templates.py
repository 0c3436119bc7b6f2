"""Text templates and drafts through the API."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gateway.serving import Gateway, Tenant

TEMPLATE = {
    "name": "order_shipped",
    "language": "en",
    "body": "Hello {{name}}, {{order}} is here.",
    "defaults": {"name": "there"},
}
TEXT = {"type": "text", "text": {"body": "Good morning {{name}}"}}


async def created(gateway: Gateway, tenant: Tenant, path: str = "/api/templates", **changes: Any) -> Any:
    answer = await gateway.call("POST", path, {**(TEMPLATE if path == "/api/templates" else TEXT), **changes}, tenant)
    assert answer.status == 201, answer.text
    return answer.body


async def test_a_template_is_made_looked_at_changed_and_deleted(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    made = await created(gateway, tenant)
    path = f"/api/templates/{made['id']}"
    assert made["variables"] == ["name", "order"]
    assert (await gateway.call("GET", path, tenant=tenant)).body == made
    changed = await gateway.call("PATCH", path, {"body": "{{order}}!", "defaults": {}}, tenant)
    assert changed.status == 200
    assert (changed.body["name"], changed.body["body"], changed.body["defaults"]) == ("order_shipped", "{{order}}!", {})
    assert (await gateway.call("DELETE", path, tenant=tenant)).status == 204
    for method, body in (("GET", None), ("PATCH", {"body": "x"}), ("DELETE", None)):
        answer = await gateway.call(method, path, body, tenant)
        assert (answer.status, answer.body["code"]) == (404, "template.unknown")


async def test_a_name_is_taken_once_a_language_and_once_a_tenant(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant(), await gateway.new_tenant("Other")
    await created(gateway, tenant)
    await created(gateway, tenant, language="es")
    await created(gateway, other)
    answer = await gateway.call("POST", "/api/templates", TEMPLATE, tenant)
    assert (answer.status, answer.body["code"]) == (409, "template.exists")
    third = await created(gateway, tenant, name="third")
    answer = await gateway.call("PATCH", f"/api/templates/{third['id']}", {"name": "order_shipped"}, tenant)
    assert (answer.status, answer.body["code"]) == (409, "template.exists")


async def test_nobody_sees_or_touches_anothers(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant(), await gateway.new_tenant("Other")
    template, draft = await created(gateway, tenant), await created(gateway, tenant, "/api/drafts")
    for path, body in ((f"/api/templates/{template['id']}", {"body": "x"}), (f"/api/drafts/{draft['id']}", {"name": "x"})):
        for method in ("GET", "PATCH", "DELETE"):
            assert (await gateway.call(method, path, body if method == "PATCH" else None, other)).status == 404
        assert (await gateway.call("GET", path.rpartition("/")[0], tenant=other)).body["data"] == []


async def test_the_same_key_makes_one_template(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    first, again = [
        await gateway.call("POST", "/api/templates", TEMPLATE, tenant, **{"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert (first.status, again.status, again.body) == (201, 201, first.body)


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"body": "{{}}"}, "/body", "template.malformed"),
        ({"body": "Hello {{a b}}"}, "/body", "template.malformed"),
        ({"body": ""}, "/body", "field.too_short"),
        ({"body": "x" * 4097}, "/body", "field.too_long"),
        ({"body": "a\x00b"}, "/body", "field.bad_text"),
        ({"name": "a b"}, "/name", "field.format"),
        ({"language": "english!"}, "/language", "field.format"),
        ({"defaults": {"a": 1}}, "/defaults/a", "field.type"),
        ({"kind": "whatsapp"}, "/kind", "field.choice"),
        ({"more": 1}, "/more", "field.unknown"),
    ],
)
async def test_what_is_wrong_is_named(gateway: Gateway, changes: dict[str, Any], pointer: str, code: str) -> None:
    tenant = await gateway.new_tenant()
    answer = await gateway.call("POST", "/api/templates", {**TEMPLATE, **changes}, tenant)
    assert answer.status == 422
    assert [(error["pointer"], error["code"]) for error in answer.body["errors"]] == [(pointer, code)]


async def test_a_template_is_tried_with_values_and_each_missing_one_is_named(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    template = await created(gateway, tenant, body="{{name}} {{a}} {{b}}")
    path = f"/api/templates/{template['id']}/render"
    whole = await gateway.call("POST", path, {"variables": {"a": "{{b}}", "b": "2"}}, tenant)
    assert whole.body == {"content": {"type": "text", "text": {"body": "there {{b}} 2"}}}
    missing = await gateway.call("POST", path, {"variables": {}}, tenant)
    assert missing.status == 422
    errors = [(error["code"], error["pointer"]) for error in missing.body["errors"]]
    assert errors == [("variable.missing", "/variables/a"), ("variable.missing", "/variables/b")]
    long = await gateway.call("POST", path, {"variables": {"a": "x" * 4096, "b": "y"}}, tenant)
    assert (long.status, long.body["errors"][0]["code"]) == (422, "text.too_long")


async def test_a_list_is_read_page_by_page_and_filtered(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    ids = [
        (await created(gateway, tenant, name=f"t{number}", language="es" if number % 2 else "en"))["id"] for number in range(5)
    ]
    seen, cursor = [], ""
    while cursor is not None:
        page = (await gateway.call("GET", f"/api/templates?limit=2{cursor and '&cursor=' + cursor}", tenant=tenant)).body
        seen += [template["id"] for template in page["data"]]
        cursor = page.get("next_cursor")
    assert seen == ids
    for query, wanted in (("language=es", ids[1::2]), ("name=t2", ids[2:3]), ("kind=whatsapp", []), ("kind=text", ids)):
        found = (await gateway.call("GET", f"/api/templates?{query}", tenant=tenant)).body["data"]
        assert [template["id"] for template in found] == wanted
    for path in ("/api/templates", "/api/drafts"):
        answer = await gateway.call("GET", f"{path}?cursor=x", tenant=tenant)
        assert (answer.status, answer.body["code"]) == (400, "cursor.invalid")


async def test_a_draft_is_kept_changed_listed_and_deleted(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    draft = await created(gateway, tenant, "/api/drafts", name="Greeting")
    path = f"/api/drafts/{draft['id']}"
    assert draft["id"].startswith("drf_")
    assert (draft["name"], draft["content"], draft["variables"]) == ("Greeting", TEXT, ["name"])
    named = await gateway.call("PATCH", path, {"name": None}, tenant)
    assert "name" not in named.body
    assert named.body["content"] == TEXT
    template = {"name": "order_update", "language": {"code": "en_US"}}
    changed = await gateway.call("PATCH", path, {"type": "template", "template": template}, tenant)
    assert changed.body["content"] == {"type": "template", "template": template}
    assert (await gateway.call("GET", "/api/drafts", tenant=tenant)).body["data"] == [changed.body]
    assert (await gateway.call("DELETE", path, tenant=tenant)).status == 204
    assert (await gateway.call("DELETE", path, tenant=tenant)).body["code"] == "draft.unknown"


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({}, "/text", "field.missing"),
        (
            {"type": "text", "text": {"body": "x"}, "template": {"name": "a", "language": {"code": "en"}}},
            "/template",
            "field.surplus",
        ),
        ({"type": "text", "text": {"body": ""}}, "/text/body", "field.too_short"),
        ({"type": "text", "text": {"body": "Hi {{first name}}"}}, "/text/body", "template.malformed"),
        ({"type": "image"}, "/image", "field.missing"),
        ({"type": "voice"}, "/type", "field.choice"),
        ({"type": "image", "image": {"link": "{{first name}}"}}, "/image/link", "template.malformed"),
        ({**TEXT, "to": "+15551234567"}, "/to", "field.unknown"),
        (
            {"type": "template", "template": {"name": "a", "language": {"code": "en"}, "components": [{"n": 2**60}]}},
            "/template/components/0",
            "template.component_unknown",
        ),
    ],
)
async def test_a_draft_is_what_a_message_could_be(gateway: Gateway, body: dict[str, Any], pointer: str, code: str) -> None:
    tenant = await gateway.new_tenant()
    answer = await gateway.call("POST", "/api/drafts", body, tenant)
    assert answer.status == 422
    assert [(error["pointer"], error["code"]) for error in answer.body["errors"]] == [(pointer, code)]
