"""What was asked of the sandbox can be asked for, without the secrets that came with it."""

from __future__ import annotations

import orjson
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.contract.sandbox.running import NUMBER, PATH, TOKEN, receiving, running

READER = "19991230003"


async def test_requests_are_told_with_their_status_and_body() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.send(READER, context={"message_id": "wamid.x"})
        await client.send("19991230004")
        await client.control("GET", "ledger")
        async with client.session.get(client.base + "/health") as response:
            assert response.status == 200
        _, told = await client.control("GET", "requests")
        assert [(entry["method"], entry["path"], entry["status"]) for entry in told["data"]] == [
            ("POST", PATH, 200),
            ("POST", PATH, 400),
        ]
        assert told["data"][0]["body"]["context"] == {"message_id": "wamid.x"}
        assert told["next_cursor"] is None
        await client.control("DELETE", "requests")
        assert (await client.control("GET", "requests"))[1]["data"] == []


async def test_secrets_are_struck_out() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        url = f"{client.base}/v23.0/{NUMBER}"
        secret = "123456"
        body = {
            "pin": secret,
            "webhook_configuration": {"override_callback_uri": "http://127.0.0.1:1/", "verify_token": "s3cr3t"},
        }
        async with client.session.post(url, params={"access_token": TOKEN}, json=body) as response:
            assert response.status == 400
        _, told = await client.control("GET", "requests")
        text = orjson.dumps(told).decode()
        assert told["data"][0]["query"].keys() == {"access_token"}
        assert told["data"][0]["body"].keys() == body.keys()
        assert not any(word in text for word in (TOKEN, secret, "s3cr3t"))


async def test_requests_come_in_pages_and_by_what_they_are() -> None:
    async with receiving() as receiver, running(receiver.url, request_log=5) as client:
        for number in range(7):
            await client.send(READER, text={"body": str(number)})
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with client.session.get(f"{client.base}/v23.0/{NUMBER}", headers=headers) as response:
            assert response.status == 200
        _, first = await client.control("GET", "requests?limit=3")
        _, second = await client.control("GET", f"requests?limit=3&cursor={first['next_cursor']}")
        assert [entry["id"] for entry in first["data"] + second["data"]] == [4, 5, 6, 7, 8]
        _, sends = await client.control("GET", "requests?path=/messages&method=POST")
        assert [entry["body"]["text"]["body"] for entry in sends["data"]] == ["3", "4", "5", "6"]
        assert (await client.control("GET", "requests?colour=red"))[0] == 400


async def test_a_request_without_an_answer_has_no_status() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        for recipient in ("19991230006", READER):
            try:
                await client.send(recipient)
            except OSError:
                assert recipient != READER
        _, told = await client.control("GET", "requests")
        assert [entry["status"] for entry in told["data"]] == [None, 200]


async def test_an_answer_that_is_awaited_is_noted_when_it_is_there() -> None:
    body = {"messaging_product": "whatsapp", "to": READER, "text": {"body": "x"}}
    headers = {"Authorization": f"Bearer {TOKEN}", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}
    async with receiving() as receiver, running(receiver.url, exporter=InMemorySpanExporter()) as client:
        async with client.session.post(client.base + PATH, json=body, headers=headers) as response:
            assert response.status == 200
        _, told = await client.control("GET", "requests")
        assert [entry["status"] for entry in told["data"]] == [200]


async def test_bodies_that_are_large_or_deep_or_no_json_are_left_out() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        for body in (b"{" * 100, b'{"a":"' + b"x" * 20_000 + b'"}', b'{"a":' + b"[" * 500 + b"]" * 500 + b"}"):
            async with client.session.post(client.base + PATH, data=body, headers=headers) as response:
                assert response.status == 400
        status, told = await client.control("GET", "requests")
        assert status == 200
        assert [entry["body"] for entry in told["data"][:2]] == [None, None]
