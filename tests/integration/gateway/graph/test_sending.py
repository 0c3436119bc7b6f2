"""Messages at the front door: same bodies, same answers, and queued like all others."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from yarl import URL

from services.gateway.domain.wamid import message_of, mint
from shared.events.catalogue import MessageAccepted
from shared.ids import MessageId
from tests.contract.sandbox.running import NUMBER
from tests.integration.gateway.graph.conftest import Front, error_of

META = "wamid.HBgLMTU1NTEyMzQ1NjcVAgASGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA"
TEXT = {"messaging_product": "whatsapp", "to": "15551234567", "type": "text", "text": {"body": "hello"}}


async def test_a_text_is_answered_at_once_and_queued(front: Front) -> None:
    answer = await front.send(to="+1 (555) 123-4567", biz_opaque_callback_data="order 77")
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json; charset=UTF-8"
    wamid = answer.body["messages"][0]["id"]
    assert answer.body == {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+1 (555) 123-4567", "wa_id": "15551234567"}],
        "messages": [{"id": wamid}],
    }
    [row] = await front.stored()
    assert message_of(wamid) == row["id"]
    assert orjson.loads(row["graph"]) == {"input": "+1 (555) 123-4567", "opaque": "order 77"}
    [event] = [event for event in await front.gateway.told() if isinstance(event, MessageAccepted)]
    assert (event.message_id, event.number_id, event.to) == (row["id"], front.number_id, "+15551234567")
    assert event.content == {"type": "text", "text": {"body": "hello"}}


async def test_a_message_of_our_own_api_has_no_graph_record(front: Front) -> None:
    await front.gateway.send(front.tenant)
    assert [row["graph"] for row in await front.stored()] == [None]


@pytest.mark.parametrize(
    "path",
    [
        f"/v14.0/{NUMBER}/messages",
        f"/v26.0/{NUMBER}/messages/",
        f"/{NUMBER}/messages",
        f"/{NUMBER}/messages/",
        f"/LATEST/{NUMBER}/messages",
    ],
)
async def test_any_version_or_none_is_served(front: Front, path: str) -> None:
    answer = await front.call("POST", path, TEXT)
    assert answer.status == 200, answer.text


async def test_careless_bodies_are_taken_as_the_provider_takes_them(front: Front) -> None:
    cards = [{"name": {"formatted_name": "Ana B", "first_name": "Ana"}, "phones": [{"phone": "+15550001111"}]}]
    for members in (
        {"context": None, "recipient_type": None, "unknown": 1, "to": 15551234567},
        {"type": None},
        {"type": "contacts", "text": None, "contacts": orjson.dumps(cards).decode()},
        {"type": "image", "text": None, "image": {"link": "http://example.com/a.jpg", "caption": None}},
    ):
        answer = await front.send(**members)
        assert answer.status == 200, (members, answer.text)
    assert [orjson.loads(row["content"])["type"] for row in await front.stored()] == ["text", "text", "contacts", "image"]


async def test_forms_are_taken_too(front: Front) -> None:
    fields = {"messaging_product": "whatsapp", "to": "15551234567", "type": "text", "text": '{"body":"hello"}'}
    form = str(URL.build(query=fields).query_string).encode()
    answer = await front.call(
        "POST", f"/v23.0/{NUMBER}/messages", form, **{"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert answer.status == 200, answer.text
    multipart = (
        "".join(f'--b\r\nContent-Disposition: form-data; name="{n}"\r\n\r\n{v}\r\n' for n, v in fields.items()) + "--b--\r\n"
    )
    answer = await front.call(
        "POST", f"/v23.0/{NUMBER}/messages", multipart.encode(), **{"Content-Type": "multipart/form-data; boundary=b"}
    )
    assert answer.status == 200, answer.text


async def test_recipients_without_a_phone_and_groups(front: Front) -> None:
    user = await front.send(to=None, recipient="US.13491208655302741918")
    assert user.body["contacts"] == [{"input": "US.13491208655302741918", "user_id": "US.13491208655302741918"}]
    group = await front.send(recipient_type="group", to="Y2FwaV9ncm91cDox")
    assert group.body["messages"][0]["group_id"] == "Y2FwaV9ncm91cDox"
    assert [row["recipient"] for row in await front.stored()] == ["US.13491208655302741918", "group:Y2FwaV9ncm91cDox"]


async def test_a_template_says_that_it_was_accepted(front: Front) -> None:
    template = {"name": "hello_world", "language": {"code": "en_US"}}
    answer = await front.send(type="template", text=None, template=template)
    assert answer.body["messages"][0]["message_status"] == "accepted"


async def test_marketing_messages_are_templates(front: Front) -> None:
    path = f"/v23.0/{NUMBER}/marketing_messages"
    template = {"name": "sale", "language": {"code": "en_US"}}
    answer = await front.call("POST", path, {**TEXT, "type": "template", "template": template, "text": None})
    assert answer.status == 200, answer.text
    assert error_of(await front.call("POST", path, TEXT))["code"] == 131055


async def test_minted_wamids_become_our_ids_and_the_providers_stay(front: Front) -> None:
    first = (await front.send()).body["messages"][0]["id"]
    await front.send(context={"message_id": first})
    await front.send(type="reaction", text=None, reaction={"message_id": first, "emoji": "👍"})
    await front.send(context={"message_id": META})
    rows = [orjson.loads(row["content"]) for row in await front.stored()]
    assert rows[1]["context"]["message_id"] == rows[2]["reaction"]["message_id"] == message_of(first)
    assert rows[3]["context"]["message_id"] == META


async def test_extras_of_ours_come_in_headers(front: Front) -> None:
    at = datetime.now(UTC) + timedelta(hours=2)
    headers = {"X-Chasqui-Schedule": at.isoformat(), "X-Chasqui-Priority": "HIGH"}
    assert (await front.call("POST", f"/v23.0/{NUMBER}/messages", TEXT, **headers)).status == 200
    [row] = await front.stored()
    assert (row["scheduled_at"], row["tier"], row["status"]) == (at, 1, "scheduled")
    wrong = await front.call("POST", f"/v23.0/{NUMBER}/messages", TEXT, **{"X-Chasqui-Schedule": "tomorrow"})
    assert "X-Chasqui-Schedule" in error_of(wrong)["error_data"]["details"]


async def test_a_repetition_under_one_key_is_one_message(front: Front) -> None:
    path, headers = f"/v23.0/{NUMBER}/messages", {"Idempotency-Key": "k1"}
    first = await front.call("POST", path, TEXT, **headers)
    again = await front.call("POST", path, TEXT, **headers)
    assert (first.status, first.body) == (again.status, again.body) == (200, first.body)
    assert first.headers["Content-Type"] == again.headers["Content-Type"] == "application/json; charset=UTF-8"
    assert len(await front.stored()) == 1
    other = await front.call("POST", path, {**TEXT, "to": "15550000000"}, **headers)
    assert (other.status, error_of(other)["code"]) == (400, 100)


@pytest.mark.parametrize(
    ("members", "code", "said"),
    [
        ({"messaging_product": None}, 100, "messaging_product"),
        ({"messaging_product": "sms"}, 100, "messaging_product"),
        ({"to": None}, 100, "to"),
        ({"to": "nobody"}, 100, "to"),
        ({"to": ["1"]}, 100, "to"),
        ({"recipient_type": "crowd"}, 100, "recipient_type"),
        ({"text": {"body": "x" * 4097}}, 131009, "text.body"),
        ({"text": {"body": ""}}, 131009, "text.body"),
        ({"text": None}, 131008, "text"),
        ({"type": "fax"}, 131009, "type"),
        ({"type": "image", "text": None, "image": {}}, 131009, "image"),
        ({"biz_opaque_callback_data": "x" * 513}, 100, "biz_opaque_callback_data"),
        ({"recipient_identity_key_hash": "abc"}, 100, "recipient_identity_key_hash"),
        ({"status": "delivered", "message_id": META}, 100, "status"),
        ({"status": "read"}, 131008, "message_id"),
    ],
)
async def test_what_the_provider_would_refuse_is_refused_in_its_words(
    front: Front, members: dict[str, Any], code: int, said: str
) -> None:
    answer = await front.send(**members)
    assert answer.status == 400, answer.text
    error = error_of(answer)
    assert error["code"] == code, error
    assert said in error.get("error_data", {}).get("details", "") + error["message"]
    assert await front.stored() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        orjson.dumps({**TEXT, "text": {"body": "a\u0000b"}}),
        orjson.dumps(TEXT).replace(b"hello", b"\\ud800"),
        orjson.dumps(TEXT).replace(b'"hello"', b"1" * 6_000),
        orjson.dumps(TEXT).replace(b'"hello"', b"1e999"),
        orjson.dumps(TEXT).replace(b'"15551234567"', b"9" * 5_000),
        orjson.dumps({**TEXT, "text": {"body": {"body": [1, 2]}}}),
        orjson.dumps({**TEXT, "context": {"message_id": ["x"]}}),
        orjson.dumps({**TEXT, "type": ["text"]}),
        orjson.dumps({**TEXT, "type": "template", "template": "x"}),
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
async def test_hostile_bodies_get_an_envelope(front: Front, body: bytes) -> None:
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
        answer = await front.call("POST", f"/v23.0/{NUMBER}/messages", body, **{"Content-Type": kind})
        assert answer.status in {400, 413}, answer.text
        error_of(answer)
    assert await front.stored() == []


async def test_digits_of_other_scripts_are_no_file(front: Front) -> None:
    for media_id in ("²", "٣٤٥٦٧"):
        answer = await front.send(type="image", text=None, image={"id": media_id})
        assert answer.status == 400, answer.text
        error_of(answer)


async def test_a_caller_that_breaks_off_is_no_fault_of_ours(front: Front, capsys: pytest.CaptureFixture[str]) -> None:
    url, logged = URL(front.gateway.url), ""
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = f"POST /v23.0/{NUMBER}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {front.tenant.key}\r\n"
    head += "Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 999\r\nExpect: 100-continue\r\n\r\n"
    writer.write(head.encode())
    await reader.readuntil(b"100 Continue\r\n\r\n")
    writer.write(b"--b\r\n")
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(60):
        while "{phone_number_id}/messages" not in logged:
            await asyncio.sleep(0.01)
            logged += capsys.readouterr().out
    assert "request.failed" not in logged
    assert "status=400" in logged


async def test_a_read_receipt_goes_to_the_provider(front: Front) -> None:
    _, made = await front.sandbox.control("POST", "inbound", {"from": "15551234567", "text": "hi"})
    wamid = made.get("wamid") or made.get("id") or made["messages"][0]["id"]
    receipt = {"messaging_product": "whatsapp", "status": "read", "message_id": wamid, "typing_indicator": True}
    answer = await front.call("POST", f"/v15.0/{NUMBER}/messages", receipt)
    assert (answer.status, answer.body) == (200, {"success": True})
    outgoing = {**receipt, "message_id": mint(MessageId(f"msg_{'0' * 26}"))}
    assert error_of(await front.call("POST", f"/v15.0/{NUMBER}/messages", outgoing))["code"] == 100
