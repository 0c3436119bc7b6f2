"""Every refusal is a Graph error with Meta's code and status, and names the field at fault."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from tests.contract.sandbox.running import NUMBER, PATH, receiving, running

TO = "19991230003"
TEMPLATE = {"name": "t", "language": {"code": "en"}}

FAULTS: list[tuple[str, dict[str, Any], int, str]] = [
    ("no product", {"messaging_product": None}, 100, "messaging_product"),
    ("wrong product", {"messaging_product": "sms"}, 100, "messaging_product"),
    ("no recipient", {"to": None}, 100, "to"),
    ("no phone", {"to": "hello"}, 131009, "to"),
    ("boolean phone", {"to": True}, 100, "to"),
    ("no user id", {"to": None, "recipient": 'US."x"'}, 131009, "recipient"),
    ("recipient type", {"recipient_type": "crowd"}, 100, "recipient_type"),
    ("unknown type", {"type": "telepathy"}, 100, "type"),
    ("type of a wrong type", {"type": ["text"]}, 100, "type"),
    ("no text", {"text": None}, 131008, "text"),
    ("text is a list", {"text": []}, 131009, "text"),
    ("no body", {"text": {}}, 131008, "text.body"),
    ("empty body", {"text": {"body": ""}}, 100, "text['body']"),
    ("long body", {"text": {"body": "x" * 4097}}, 100, "text['body']"),
    ("number as body", {"text": {"body": 7}}, 100, "text['body']"),
    ("preview", {"text": {"body": "x", "preview_url": "maybe"}}, 100, "preview_url"),
    ("callback data", {"biz_opaque_callback_data": "x" * 513}, 100, "biz_opaque_callback_data"),
    ("context", {"context": {}}, 131008, "context.message_id"),
    ("no template", {"type": "template"}, 131008, "template"),
    ("no name", {"type": "template", "template": {"language": {"code": "en"}}}, 131008, "template.name"),
    ("no language", {"type": "template", "template": {"name": "t"}}, 131008, "template.language"),
    ("components", {"type": "template", "template": {**TEMPLATE, "components": {}}}, 100, "components"),
    (
        "component type",
        {"type": "template", "template": {**TEMPLATE, "components": [{"type": "hat"}]}},
        131009,
        "template.components[0].type",
    ),
    (
        "button index",
        {"type": "template", "template": {**TEMPLATE, "components": [{"type": "button", "sub_type": "url", "index": "10"}]}},
        131009,
        "template.components[0].index",
    ),
    (
        "parameter value",
        {"type": "template", "template": {**TEMPLATE, "components": [{"type": "body", "parameters": [{"type": "text"}]}]}},
        131008,
        "template.components[0].parameters[0].text",
    ),
    ("media source", {"type": "image", "image": {}}, 131008, "image"),
    ("two media sources", {"type": "image", "image": {"id": "1", "link": "https://x"}}, 131009, "image"),
    ("sender is recipient", {"to": "+15550783881"}, 131021, "same"),
]


@pytest.mark.parametrize(("members", "code", "named"), [fault[1:] for fault in FAULTS], ids=[fault[0] for fault in FAULTS])
async def test_a_bad_message_is_refused(members: dict[str, Any], code: int, named: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.send(TO, **members)
        error = answer["error"]
        assert (status, error["code"]) == (400, code)
        assert named in error["error_data"]["details"]
        assert error["type"] == "OAuthException"
        assert error["message"].startswith(f"(#{code}) ")
        assert error["fbtrace_id"]
        assert (await client.control("GET", "ledger/summary"))[1]["accepted"] == 0


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b'{"text":"\xff"}', b'{"a":"\\ud800"}', b"[" * 5000])
async def test_a_broken_body_is_refused(body: bytes) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        headers = {"Authorization": "Bearer sandbox-access-token", "Content-Type": "application/json"}
        async with client.session.post(client.base + PATH, data=body, headers=headers) as response:
            assert response.status == 400
            assert (await response.json())["error"]["code"] == 100
            assert response.headers["X-Fb-Request-Id"] == (await response.json())["error"]["fbtrace_id"]


async def test_a_body_beyond_all_limits_is_a_graph_error_too() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        headers = {"Authorization": "Bearer sandbox-access-token"}
        async with client.session.post(client.base + PATH, data=io.BytesIO(b"{" * 2_000_000), headers=headers) as response:
            assert response.status == 413
            assert (await response.json())["error"]["code"] == 100


async def test_tokens_and_numbers_are_told_apart() -> None:
    other = {
        "access_token": "other-token",
        "app_secret": "s",
        "verify_token": "v",
        "webhook_url": "http://127.0.0.1:1/",
        "waba_id": "2",
        "display_phone_number": "15550000002",
    }
    body = {"messaging_product": "whatsapp", "to": TO, "text": {"body": "x"}}
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("PUT", "numbers/2222", other)
        for path, token, http_status, code, subcode in (
            (PATH, "", 401, 104, None),
            (PATH, "wrong", 401, 190, None),
            (PATH, "other-token", 403, 10, None),
            ("/v23.0/3333/messages", "other-token", 400, 100, 33),
            (f"/v23.0/{NUMBER}/dances", "sandbox-access-token", 400, 100, None),
        ):
            status, answer = await client.post(path, body, token)
            assert (status, answer["error"]["code"], answer["error"].get("error_subcode")) == (http_status, code, subcode)


async def test_the_numbers_rate_is_enforced() -> None:
    async with receiving() as receiver, running(receiver.url, messages_per_second=5, answers=False) as client:
        answers = await asyncio.gather(*(client.send(f"4915000{n:05}") for n in range(20, 40)))
        codes = [answer["error"]["code"] for status, answer in answers if status != 200]
        assert 5 <= sum(status == 200 for status, _ in answers) < 15
        assert set(codes) == {130429}


async def test_what_comes_in_counts_against_the_rate() -> None:
    async with receiving() as receiver, running(receiver.url, messages_per_second=1) as client:
        await client.control("POST", "inbound", {"from": TO, "text": "x"})
        status, answer = await client.send(TO)
        assert (status, answer.get("error", {}).get("code")) == (400, 130429)


async def test_a_pair_gets_45_at_once_unless_switched_off() -> None:
    async with receiving() as receiver, running(receiver.url, answers=False) as client:
        answers = [await client.send(TO) for _ in range(46)]
        assert [status for status, _ in answers] == [200] * 45 + [400]
        assert answers[-1][1]["error"]["code"] == 131056
        assert (await client.send("19991240003"))[0] == 200
        await client.control("PATCH", "behaviour", {"pair_limit": False})
        assert (await client.send(TO))[0] == 200
