"""What an audience is told: variants looked up once, then rendered for each."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from services.gateway.domain.rendering import Fault, Named
from services.gateway.render import Renderer, prepare
from shared.events.values import Variant
from shared.ids import TenantId
from tests.integration.gateway.serving import Gateway, Tenant

ANA = Named("+15551234567", "Ana", "en", {"city": "Lima"})


async def prepared(gateway: Gateway, tenant: Tenant, *variants: Variant) -> Renderer | Fault:
    async with gateway.pool.acquire() as connection:
        return await prepare(connection, TenantId(tenant.tenant_id), "run_1", variants)


async def said(gateway: Gateway, tenant: Tenant, variant: Variant, reader: Named = ANA) -> Any:
    """The text, or the code of why there is none."""
    renderer = await prepared(gateway, tenant, variant)
    if isinstance(renderer, Fault):
        return renderer.code
    rendered = renderer.render(reader)
    return rendered.code if isinstance(rendered, Fault) else rendered[1]["text"]["body"]


def text(body: str) -> dict[str, Any]:
    return {"type": "text", "text": {"body": body}}


async def made(gateway: Gateway, tenant: Tenant, path: str, body: dict[str, Any]) -> str:
    answer = await gateway.call("POST", path, body, tenant)
    assert answer.status == 201, answer.text
    return str(answer.body["id"])


async def test_content_templates_and_drafts_are_filled_in(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    body = {"name": "a", "body": "Hi {{name}} of {{city}}, {{code}} {{end}}", "defaults": {"end": "bye", "city": "nowhere"}}
    template_id = await made(gateway, tenant, "/api/templates", body)
    draft_id = await made(gateway, tenant, "/api/drafts", text("Draft for {{name}}: {{code}}"))
    assert await said(gateway, tenant, Variant(content=text("{{name}}!"))) == "Ana!"
    assert await said(gateway, tenant, Variant(template_id=template_id, variables={"code": "7"})) == "Hi Ana of Lima, 7 bye"
    assert await said(gateway, tenant, Variant(template_id=template_id)) == "variable.missing"
    assert await said(gateway, tenant, Variant(message_id=draft_id, variables={"code": "7"})) == "Draft for Ana: 7"
    own = Named("+15551234567", variables={"code": "own", "name": "Bo"})
    assert await said(gateway, tenant, Variant(message_id=draft_id, variables={"code": "7"}), own) == "Draft for Bo: own"


async def test_a_template_is_said_in_the_readers_language_if_it_is_there(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant(), await gateway.new_tenant("Other")
    ids = {}
    for language, body in (("en", "Hello {{who}}"), ("es", "Hola {{who}}"), ("pt_BR", "Olá {{who}}")):
        template = {"name": "greeting", "language": language, "body": body, "defaults": {"who": language}}
        ids[language] = await made(gateway, tenant, "/api/templates", template)
    await made(gateway, tenant, "/api/templates", {"name": "farewell", "language": "de", "body": "Tschüss"})
    await made(gateway, other, "/api/templates", {"name": "greeting", "language": "de", "body": "Hallo"})
    for own, expected in (
        ("en-GB", "Hello en"),
        ("es-MX", "Hola es"),
        ("pt-BR", "Olá pt_BR"),
        ("de", "Hola es"),
        (None, "Hola es"),
    ):
        assert await said(gateway, tenant, Variant(template_id=ids["es"]), Named("+15551234567", language=own)) == expected
    given = Variant(template_id=ids["es"], variables={"who": "Ana"})
    assert await said(gateway, tenant, given, Named("+15551234567", language="en")) == "Hello Ana"


async def test_a_content_is_no_larger_than_a_request_to_send_it(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    components = [{"type": "body", "parameters": [{"type": "text", "text": "x"}], "padding": "x" * 70_000}]
    content = {"type": "template", "template": {"name": "a", "language": {"code": "en"}, "components": components}}
    assert await said(gateway, tenant, Variant(content=content)) == "content.too_large"


async def test_a_message_is_said_again_as_it_was(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    await gateway.connect(tenant, "1001")
    message_id = await gateway.send(tenant, text={"body": "Written by {{name}}"})
    assert await said(gateway, tenant, Variant(message_id=message_id)) == "Written by {{name}}"


async def test_what_is_not_there_or_not_right_is_a_fault_of_the_whole(gateway: Gateway) -> None:
    tenant, other = await gateway.new_tenant(), await gateway.new_tenant("Other")
    draft_id = await made(gateway, other, "/api/drafts", text("secret"))
    nobody = "0" * 26
    assert await said(gateway, tenant, Variant(message_id=draft_id)) == "draft.unknown"
    assert await said(gateway, tenant, Variant(message_id=f"msg_{nobody}")) == "message.unknown"
    assert await said(gateway, tenant, Variant(template_id=f"tpl_{nobody}")) == "template.unknown"
    assert await said(gateway, tenant, Variant()) == "content.missing"
    assert await said(gateway, tenant, Variant(content={"type": "text"})) == "field.missing"
    assert await said(gateway, tenant, Variant(content={"type": "text", "text": {"body": "x", "more": 1}})) == "field.unknown"
    assert await said(gateway, tenant, Variant(content={"type": "voice", "voice": {}})) == "field.choice"
    assert await said(gateway, tenant, Variant(content={"type": "image", "image": {}})) == "media.one_of"
    assert isinstance(await prepared(gateway, tenant), Fault)


@pytest.mark.parametrize("body", ["{{first name}}", "Hi {{name}", "{{", "{{name}} {{}}"])
async def test_braces_around_no_name_go_out_to_nobody(gateway: Gateway, body: str) -> None:
    tenant = await gateway.new_tenant()
    fault = await prepared(gateway, tenant, Variant(content=text("fine")), Variant(content=text(body)))
    assert fault == Fault("template.malformed", "/text/body: holds {{ without the name of a variable and }}", "/text/body")
    draft_id = await made(gateway, tenant, "/api/drafts", text("fine"))
    answer = await gateway.call("PATCH", f"/api/drafts/{draft_id}", text(body), tenant)
    assert [(error["pointer"], error["code"]) for error in answer.body["errors"]] == [("/text/body", "template.malformed")]
    older = orjson.dumps(text(body)).decode()
    await gateway.pool.execute("UPDATE drafts SET content = $2 WHERE id = $1", draft_id, older)
    assert await said(gateway, tenant, Variant(message_id=draft_id)) == "template.malformed"


@pytest.mark.parametrize(("value", "code"), [("x" * 5000, "text.too_long"), ("", "text.empty")])
async def test_what_is_wrong_once_filled_in_is_a_fault_of_the_recipient(gateway: Gateway, value: str, code: str) -> None:
    tenant = await gateway.new_tenant()
    assert await said(gateway, tenant, Variant(content=text("{{a}}"), variables={"a": value})) == code


async def test_variants_share_an_audience_the_same_way_every_time(gateway: Gateway) -> None:
    tenant = await gateway.new_tenant()
    variants = [Variant(name="a", weight=1, content=text("A")), Variant(name="b", weight=1, content=text("B"))]
    shares = []
    for _ in range(2):
        renderer = await prepared(gateway, tenant, *variants)
        assert isinstance(renderer, Renderer)
        rendered = [renderer.render(Named(f"+1555123{number:04}")) for number in range(200)]
        shares.append(rendered)
    assert shares[0] == shares[1]
    assert {one[0] for one in shares[0] if not isinstance(one, Fault)} == {0, 1}
