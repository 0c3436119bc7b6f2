"""Users, the business's own phone and Meta say whatever is asked of them."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from services.sandbox.domain.samples import FIELDS, MEDIA, OF_A_NUMBER
from tests.contract.sandbox.running import NUMBER, TOKEN, Client, Receiver, receiving, running

TALKER = "15551234567"
TYPES = [
    *MEDIA,
    *("text", "location", "contacts", "button", "interactive", "reaction", "order", "system", "unsupported", "edit"),
    *("revoke", "request_welcome", "hologram"),
]


async def say(client: Client, receiver: Receiver, **members: Any) -> dict[str, Any]:
    """The message as it came, with its contacts beside it."""
    before = len(receiver.messages())
    if "user_id" not in members:
        members.setdefault("from", TALKER)
    _, answer = await client.control("POST", "inbound", members)
    await receiver.until(lambda: len(receiver.messages()) > before)
    message = receiver.messages()[-1]
    assert message["id"] == answer["id"]
    assert receiver.all_are_signed()
    return {**message, "contacts_beside": receiver.values()[-1].get("contacts")}


@pytest.mark.parametrize("type_", [name for name in TYPES if name != "text"])
async def test_every_type_has_a_sample(type_: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        message = await say(client, receiver, type=type_)
        assert (message["type"], message["from"]) == (type_, TALKER)
        assert message["timestamp"].isdigit()
        assert (type_ in message) == (type_ not in ("request_welcome", "hologram"))
        assert (message["contacts_beside"] is None) == (type_ == "system")


async def test_an_object_is_told_as_it_is_given() -> None:
    reply = {"type": "list_reply", "list_reply": {"id": "1", "title": "¿a/b?", "description": "@"}}
    referral = {"source_type": "ad", "source_id": "7", "ctwa_clid": "x"}
    async with receiving() as receiver, running(receiver.url) as client:
        message = await say(
            client,
            receiver,
            type="interactive",
            interactive=reply,
            referral=referral,
            context={"id": "wamid.x", "from": "15550783881"},
            timestamp=1_700_000_000,
            id="wamid.given",
        )
        assert (message["interactive"], message["referral"]) == (reply, referral)
        assert (message["id"], message["timestamp"]) == ("wamid.given", "1700000000")
        assert message["context"] == {"id": "wamid.x", "from": "15550783881"}


async def test_a_text_may_have_what_other_messages_have() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        message = await say(client, receiver, text="hi", group_id="g1", context={"forwarded": True})
        assert (message["text"], message["group_id"], message["context"]) == ({"body": "hi"}, "g1", {"forwarded": True})


async def test_a_user_without_a_phone_number() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        message = await say(
            client, receiver, text="hi", user_id="US.1349", parent_user_id="US.ENT.7", username="ana", name="Ana"
        )
        assert "from" not in message
        assert (message["from_user_id"], message["from_parent_user_id"]) == ("US.1349", "US.ENT.7")
        assert message["contacts_beside"] == [
            {"profile": {"name": "Ana", "username": "ana"}, "user_id": "US.1349", "parent_user_id": "US.ENT.7"}
        ]


@pytest.mark.parametrize("type_", MEDIA)
async def test_media_can_be_fetched(type_: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        message = await say(client, receiver, type=type_, **{type_: {"caption": "look", "url": True}})
        media = message[type_]
        assert media["caption"] == "look"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with client.session.get(f"{client.base}/v23.0/{media['id']}", headers=headers) as response:
            info = await response.json()
        for url in (info["url"], media["url"]):
            async with client.session.get(url, headers=headers) as response:
                content = await response.read()
            assert base64.b64decode(media["sha256"]) == hashlib.sha256(content).digest()
        assert info["mime_type"] == media["mime_type"]


async def test_a_file_of_ones_own_can_be_sent() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        headers = {"Content-Type": "application/zip"}
        url = f"{client.base}/control/media?filename=a.zip"
        async with client.session.post(url, data=b"PK-anything", headers=headers) as response:
            file = await response.json()
        message = await say(client, receiver, type="document", document={"id": file["id"]})
        assert message["document"]["mime_type"] == "application/zip"
        assert message["document"]["filename"] == "a.zip"
        gone = await say(client, receiver, type="image", image={"id": "1", "mime_type": "image/png"})
        assert gone["image"] == {"id": "1", "mime_type": "image/png"}


async def test_the_business_writes_with_its_own_phone() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("POST", "echoes", {"to": TALKER, "text": "from the phone"})
        await client.control("POST", "echoes", {"to": TALKER, "type": "image"})
        await client.control("POST", "echoes", {"to_user_id": "US.1", "type": "revoke"})
        await receiver.until(lambda: len(receiver.values()) == 3)
        echoes = [value["message_echoes"][0] for value in receiver.values()]
        assert [echo["from"] for echo in echoes] == ["15550783881"] * 3
        assert echoes[0]["text"] == {"body": "from the phone"}
        assert echoes[1]["image"]["id"].isdigit()
        assert echoes[2]["to_user_id"] == "US.1"
        changes = [change for payload in receiver.taken for entry in payload["entry"] for change in entry["changes"]]
        assert {change["field"] for change in changes} == {"smb_message_echoes"}


@pytest.mark.parametrize("field", sorted(FIELDS))
async def test_every_field_has_a_sample(field: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        _, told = await client.control("POST", "webhooks", {"field": field})
        await receiver.until(lambda: len(receiver.taken) == 1)
        (entry,) = receiver.taken[0]["entry"]
        assert entry["id"] == "102290129340398"
        assert isinstance(entry["time"], int)
        assert entry["changes"] == [{"value": told["value"], "field": field}]
        assert ("metadata" in told["value"]) == (field in OF_A_NUMBER)


async def test_any_field_can_have_any_value() -> None:
    statuses = [{"id": "wamid.x", "status": "played", "timestamp": "1", "recipient_id": TALKER}]
    async with receiving() as receiver, running(receiver.url) as client:
        await client.control("POST", "webhooks", {"field": "messages", "value": {"statuses": statuses}})
        await client.control("POST", "webhooks", {"field": "next_years_field", "value": {"a": [1, None, "ü"]}, "time": 7})
        await receiver.until(lambda: len(receiver.values()) == 2)
        assert receiver.values()[0]["statuses"] == statuses
        assert receiver.values()[0]["metadata"]["phone_number_id"] == NUMBER
        assert receiver.values()[1] == {"a": [1, None, "ü"]}
        entries = [entry for payload in receiver.taken for entry in payload["entry"]]
        assert [entry.get("time") for entry in entries] == [None, 7]


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("inbound", {"text": "x"}, "from"),
        ("inbound", {"from": "x", "text": "x"}, "from"),
        ("inbound", {"from": TALKER}, "text"),
        ("inbound", {"from": TALKER, "text": ""}, "text"),
        ("inbound", {"from": TALKER, "text": "x", "image": {}}, "image"),
        ("inbound", {"from": TALKER, "type": "TEXT"}, "type"),
        ("inbound", {"from": TALKER, "type": "order", "timestamp": -1}, "timestamp"),
        ("echoes", {"text": "x"}, "to"),
        ("webhooks", {"field": "next_years_field"}, "value"),
        ("webhooks", {"value": {}}, "field"),
        ("webhooks", {"field": "security", "values": {}}, "values"),
    ],
)
async def test_what_makes_no_sense_is_refused(path: str, body: dict[str, Any], named: str) -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        status, answer = await client.control("POST", path, body)
        assert (status, answer["error"]["code"]) == (400, 100)
        assert named in answer["error"]["error_data"]["details"]


async def test_a_message_opens_the_window_and_a_deletion_does_not() -> None:
    async with receiving() as receiver, running(receiver.url) as client:
        await say(client, receiver, type="revoke")
        assert (await client.control("GET", "limits"))[1]["open_windows"] == 0
        await say(client, receiver, type="location")
        assert (await client.control("GET", "limits"))[1]["open_windows"] == 1
