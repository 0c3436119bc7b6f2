"""A service and a browser follow what happens, on the platform that `make run` starts."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from tests.support.platform import PATIENCE_SECONDS, Api, until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_was_away_takes_up_the_statuses(api: Api) -> None:
    """Over both ways, from the same place."""
    async with api.session.get(f"{api.url}/api/events") as stream:
        place = (await stream.content.readline()).decode().removeprefix("id: ").strip()
    message_id = await api.send(to="+15557772223", text={"body": "While you were away"})

    async def is_read() -> bool:
        return bool((await api.get(f"/api/messages/{message_id}"))["status"] == "read")

    await until(is_read, "the message to be read")
    streamed: list[dict[str, Any]] = []
    async with api.session.get(f"{api.url}/api/events", headers={"Last-Event-ID": place}) as stream:
        async for line in stream.content:
            assert line != b"event: reset\n"
            if line.startswith(b"data: {") and _is_of(update := json.loads(line.removeprefix(b"data: ")), message_id):
                streamed.append(update)
                if update["type"] == "message.read":
                    break
    framed: list[dict[str, Any]] = []
    async with api.session.ws_connect(f"{api.url}/api/events/ws?after={place}") as socket:
        while not framed or framed[-1]["type"] != "message.read":
            frame = await socket.receive_json(timeout=PATIENCE_SECONDS)
            assert frame["event"] != "reset"
            if _is_of(frame["data"], message_id):
                framed.append(frame["data"])
    assert streamed == framed
    assert {"message.sent", "message.delivered", "message.read"} <= {update["type"] for update in streamed}


def _is_of(update: dict[str, Any], message_id: str) -> bool:
    return bool(update.get("data", {}).get("message_id") == message_id)


async def test_a_message_is_followed_to_its_answer(api: Api) -> None:
    status, ticket = await api.call("POST", "/api/events/tickets")
    assert status == 201
    seen: dict[str, Any] = {}
    message_id = None
    async with aiohttp.ClientSession(trust_env=False) as browser:  # without a key
        url = f"{api.url}/api/events?token={ticket['token']}"
        async with browser.get(url, timeout=aiohttp.ClientTimeout(total=PATIENCE_SECONDS)) as stream:
            assert stream.status == 200
            async for line in stream.content:
                if line == b"event: ready\n":
                    message_id = await api.send(to="+15557772222", text={"body": "Follow me"}, reference="followed")
                if not line.startswith(b"data: {") or message_id is None:
                    continue
                update = json.loads(line.removeprefix(b"data: "))
                data = update.get("data", {})
                if message_id == data.get("message_id") or data.get("from") == "+15557772222":
                    seen[update["type"]] = data
                if {"message.sent", "message.delivered", "message.read", "message.received"} <= set(seen):
                    break
    assert seen["message.read"]["reference"] == "followed"
    assert seen["message.sent"]["provider_id"] == seen["message.delivered"]["provider_id"]
    assert seen["message.received"]["content"]["text"]["body"] == "You said: Follow me"
