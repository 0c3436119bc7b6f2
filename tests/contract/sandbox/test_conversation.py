"""A message's way at the sandbox: accepted, sent, delivered, read, answered."""

from __future__ import annotations

import re

import aiohttp
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.contract.sandbox.running import NUMBER, PATH, TOKEN, receiving, running

READER = "19991230003"
TALKER = "15551234567"


async def test_a_text_is_accepted_in_the_cloud_apis_words() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.send("+1 (555) 123-4567")
        assert status == 200
        assert answer["messaging_product"] == "whatsapp"
        assert answer["contacts"] == [{"input": "+1 (555) 123-4567", "wa_id": TALKER}]
        assert len(answer["messages"]) == 1
        assert answer["messages"][0].keys() == {"id"}
        assert answer["messages"][0]["id"].startswith("wamid.HBgL")


async def test_three_signed_statuses_and_an_answer_follow() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, answer = await client.send(TALKER, text={"body": "¿qué? a/b @ 😀"}, biz_opaque_callback_data="msg_1")
        wamid = answer["messages"][0]["id"]
        await receiver.until(lambda: len(receiver.statuses(wamid)) == 3 and len(receiver.messages()) == 1)

        statuses = receiver.statuses(wamid)
        assert [item["status"] for item in statuses] == ["sent", "delivered", "read"]
        assert {item["biz_opaque_callback_data"] for item in statuses} == {"msg_1"}
        assert {item["recipient_id"] for item in statuses} == {TALKER}
        assert all(re.fullmatch(r"\d{10}", item["timestamp"]) for item in statuses)
        assert statuses[0]["pricing"]["category"] == "service"

        (message,) = receiver.messages()
        assert message["from"] == TALKER
        assert message["text"] == {"body": "You said: ¿qué? a/b @ 😀"}

        for value in receiver.values():
            assert value["metadata"] == {"display_phone_number": "15550783881", "phone_number_id": NUMBER}
            assert value["contacts"][0]["wa_id"] == TALKER
        assert {entry["id"] for payload in receiver.taken for entry in payload["entry"]} == {"102290129340398"}


async def test_webhooks_are_signed_over_metas_own_escaping() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.send(TALKER, text={"body": "ü / @"})
        await receiver.until(lambda: len(receiver.messages()) == 1)
        assert receiver.all_are_signed()
        assert all(body.isascii() for body in receiver.bodies)
        assert any(b"\\u00fc \\/ \\u0040" in body for body in receiver.bodies)
        assert {headers["User-Agent"] for headers in receiver.headers} == {"facebookexternalua"}
        assert all("Content-Length" in headers for headers in receiver.headers)


async def test_a_template_says_accepted_and_gets_no_answer() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        template = {"name": "order_update", "language": {"code": "en_US"}}
        _, answer = await client.send(TALKER, type="template", template=template, text=None)
        assert answer["messages"][0]["message_status"] == "accepted"
        await receiver.until(lambda: len(receiver.statuses()) == 3)
        assert receiver.statuses()[0]["pricing"]["category"] == "utility"
        assert receiver.messages() == []


async def test_a_user_id_is_a_recipient_too() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        user_id = "US.13491208655302741918"
        _, answer = await client.send("", to=None, recipient=user_id)
        assert answer["contacts"] == [{"input": user_id, "user_id": user_id}]
        await receiver.until(lambda: len(receiver.messages()) == 1)
        assert all("recipient_id" not in item for item in receiver.statuses())
        assert receiver.messages()[0]["from_user_id"] == user_id
        assert "from" not in receiver.messages()[0]


@pytest.mark.parametrize("prefix", ["", "/v14.0", "/v23.0", "/v26.0"])
async def test_any_version_and_a_trailing_slash_are_taken(prefix: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        body = {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}}
        assert (await client.post(f"{prefix}/{NUMBER}/messages", body))[0] == 200
        assert (await client.post(f"{prefix}/{NUMBER}/messages/", body))[0] == 200


async def test_three_ways_of_authorisation() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        body = {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}}
        for headers, query in (
            ({"Authorization": f"Bearer {TOKEN}"}, ""),
            ({"Authorization": f"OAuth {TOKEN}"}, ""),
            ({}, f"?access_token={TOKEN}"),
            ({"Authorization": "Bearer of-the-app"}, f"?access_token={TOKEN}"),
        ):
            async with client.session.post(client.base + PATH + query, json=body, headers=headers) as response:
                assert response.status == 200, (headers, query)


async def test_forms_are_taken_like_json() -> None:
    fields = {"messaging_product": "whatsapp", "to": READER, "type": "text", "text": '{"body":"ü"}'}
    multipart = aiohttp.FormData(default_to_multipart=True)
    for name, value in fields.items():
        multipart.add_field(name, value)
    async with receiving() as receiver, running(receiver.url) as client:
        for data in (fields, multipart):
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with client.session.post(client.base + PATH, data=data, headers=headers) as response:
                assert response.status == 200


async def test_a_users_message_can_be_marked_as_read() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, inbound = await client.control("POST", "inbound", {"from": TALKER, "name": "Inés", "text": "first!"})
        await receiver.until(lambda: len(receiver.messages()) == 1)
        assert receiver.messages()[0]["id"] == inbound["id"]
        assert receiver.values()[0]["contacts"] == [{"profile": {"name": "Inés"}, "wa_id": TALKER}]
        receipt = {"messaging_product": "whatsapp", "status": "read", "message_id": inbound["id"]}
        assert await client.post(PATH, receipt) == (200, {"success": True})
        assert await client.post(PATH, {**receipt, "typing_indicator": {"type": "text"}}) == (200, {"success": True})

        _, sent = await client.send(READER)
        for wrong in (sent["messages"][0]["id"], "12345"):
            status, refused = await client.post(PATH, {**receipt, "message_id": wrong})
            assert (status, refused["error"]["code"]) == (400, 100)


async def test_the_number_is_a_node() -> None:
    async with receiving() as receiver, running(receiver.url, messages_per_second=80) as client:
        url = f"{client.base}/v23.0/{NUMBER}"
        async with client.session.get(url, params={"access_token": TOKEN}) as response:
            node = await response.json()
        assert node["id"] == NUMBER
        assert node["throughput"] == {"level": "STANDARD"}
        async with client.session.get(url, params={"access_token": TOKEN, "fields": "display_phone_number"}) as response:
            assert await response.json() == {"display_phone_number": "15550783881", "id": NUMBER}


async def test_a_sampled_trace_goes_on_and_a_refusal_fails_its_span() -> None:
    exporter = InMemorySpanExporter()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    body = {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}}
    async with receiving() as receiver, running(receiver.url, exporter=exporter) as client:
        for flags, recipient in (("00", READER), ("01", READER), ("01", "nobody")):
            headers = {"Authorization": f"Bearer {TOKEN}", "traceparent": f"00-{trace_id}-00f067aa0ba902b7-{flags}"}
            async with client.session.post(client.base + PATH, json=body | {"to": recipient}, headers=headers) as response:
                assert response.status == (200 if recipient == READER else 400)
    spans = exporter.get_finished_spans()
    contexts = [span.context for span in spans if span.context is not None]
    assert [f"{context.trace_id:032x}" for context in contexts] == [trace_id] * 2
    assert [(span.attributes or {}).get("error.type") for span in spans] == [None, "131009"]


async def test_health_needs_no_token() -> None:
    async with (
        receiving() as receiver,
        running(receiver.url) as client,
        client.session.get(client.base + "/health") as response,
    ):
        assert response.status == 200
