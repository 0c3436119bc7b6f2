"""Clients of the Cloud API, unmodified, at the front door: what they send goes out, and their webhook servers hear of it."""

from __future__ import annotations

import asyncio
import base64
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.e2e.clients.client import Client, Failed, Place
from tests.e2e.clients.javascript import javascript_client
from tests.e2e.clients.python import PywaClient, python_client
from tests.support.platform import Api, Platform, until

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    # heyoo leaves the files that it uploads open.
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore:Exception ignored in. <_io:pytest.PytestUnraisableExceptionWarning"),
]

CLIENTS: Final = ("pywa", "heyoo", "whatsapp_api_js", "kapso")
INBOUND: Final = (
    "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "button", "interactive", "reaction", "order",
)  # fmt: skip
ORDER_UPDATE = {"status": "APPROVED", "components": [{"type": "BODY", "text": "Hello {{1}}, your order {{2}} is on its way."}]}
SENT_ONLY: Final = frozenset({"reaction", "unreaction"})
_PHONES: Final = count(15550200000)


class World:
    """The sandbox behind the platform, and the number of the tenant that it has made."""

    def __init__(self, platform: Platform, api: Api, number: dict[str, Any]) -> None:
        self.api = api
        self.url = platform.run["sandbox_url"]
        self.number = number

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.api.session.request(method, f"{self.url}/control/{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def writes(self, sender: str, kind: str = "text", **more: Any) -> str:
        """A user writes to the number; returns the message's id."""
        message: dict[str, Any] = {"from": sender, "type": kind, **more}
        if kind == "text":
            message["text"] = "Buenos días"
        return str((await self.control("POST", "inbound", message))["id"])

    async def taken(self, recipient: str) -> list[dict[str, Any]]:
        """What the provider has accepted for somebody."""
        found, cursor = [], ""
        while True:
            page = await self.control("GET", f"ledger?limit=10000{cursor}")
            found += [one for one in page["data"] if one["to"].removeprefix("+") == recipient]
            if page["next_cursor"] is None:
                return found
            cursor = f"&cursor={page['next_cursor']}"


def phone() -> str:
    """Digits of somebody who has not been written to."""
    return str(next(_PHONES))


def png() -> bytes:
    """A picture of one black pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0\0\0\0")) + chunk(b"IEND", b"")


PICTURE: Final = {"base64": base64.b64encode(png()).decode(), "type": "image/png", "file_name": "dot.png"}


@pytest_asyncio.fixture(loop_scope="session")
async def world(platform: Platform, api: Api) -> World:
    (number,) = (await api.get("/api/numbers"))["data"]
    return World(platform, api, number)


@asynccontextmanager
async def pointed_here(name: str, platform: Platform, world: World, token: str | None = None) -> AsyncIterator[Client]:
    place = Place(
        platform.run["gateway_url"],
        token or platform.run["test_key"],
        world.number["phone_number_id"],
        world.number["waba_id"],
    )
    open_client = python_client if name in ("pywa", "heyoo") else javascript_client
    async with open_client(name, place) as client:
        hook = {"url": client.hook, "format": "meta", "secret": place.app_secret, "verify_token": place.verify_token}
        status, made = await world.api.call("POST", "/api/callbacks", hook)
        assert status == 201, made
        try:
            await until_told(client, world)
            yield client
        finally:
            async with world.api.session.delete(f"{world.api.url}/api/callbacks/{made['id']}") as answer:
                assert answer.status == 204, await answer.text()


async def until_told(client: Client, world: World) -> None:
    """A callback is told from about a second after it was made."""
    probe = phone()

    async def told() -> bool:
        await world.writes(probe)
        await asyncio.sleep(0.2)
        return bool(client.heard.messages(probe))

    await until(told, "the callback to be told")


@pytest_asyncio.fixture(params=CLIENTS, loop_scope="session")
async def client(request: pytest.FixtureRequest, platform: Platform, world: World) -> AsyncIterator[Client]:
    async with pointed_here(request.param, platform, world) as client:
        yield client


async def test_every_kind_goes_out_once_and_its_statuses_come_back(client: Client, world: World) -> None:
    await world.control("PUT", f"templates/{world.number['waba_id']}/order_update/en_US", ORDER_UPDATE)
    media = (await client.call("upload", **PICTURE))["id"]
    sent: dict[str, tuple[str, str]] = {}
    for kind in await client.call("kinds"):
        recipient = phone()
        wamid = await world.writes(recipient)
        answer = await client.call(
            "send", kind=kind, to=recipient, media=media, wamid=wamid, template="order_update", opaque=f"mine {kind}"
        )
        sent[kind] = recipient, answer["messages"][0]["id"]

    def wanted(kind: str) -> list[str]:
        return ["sent"] if kind in SENT_ONLY else ["delivered", "read", "sent"]

    def missing() -> list[str]:
        return [kind for kind, (_, wamid) in sent.items() if sorted(client.heard.statuses(wamid)) != wanted(kind)]

    try:
        await until(lambda: not missing(), "every status")
    except AssertionError:
        heard = {kind: client.heard.statuses(sent[kind][1]) for kind in missing()}
        raise AssertionError(f"statuses heard: {heard}") from None
    for kind, (recipient, _) in sent.items():
        taken = await world.taken(recipient)
        assert [one["count"] for one in taken] == [1], kind


async def test_what_users_write_is_heard(client: Client, world: World) -> None:
    sender = phone()
    ids = {await world.writes(sender, kind): kind for kind in INBOUND}

    def heard() -> dict[str, str]:
        return {one["message"]["id"]: one["message"]["type"] for one in client.heard.messages(sender)}

    await until(lambda: len(heard()) == len(ids), "every message")
    assert heard() == ids
    assert len(client.heard.messages(sender)) == len(ids)


async def test_answers_quote_what_they_answer(client: Client, world: World) -> None:
    user = phone()
    question = await world.writes(user)
    answer = await client.call("send", kind="text", to=user, context=question)
    ours = answer["messages"][0]["id"]
    (taken,) = await until(lambda: world.taken(user), "the answer at the provider")
    await until(lambda: client.heard.statuses(ours), "the answer's status")  # nobody answers what they have not received
    assert taken["wamid"] != ours
    await world.writes(user, "location", context={"id": taken["wamid"], "from": world.number["display_number"].lstrip("+")})
    await until(lambda: len(client.heard.messages(user)) >= 2, "the answer to the answer")
    contexts = [one["message"].get("context", {}).get("id") for one in client.heard.messages(user)]
    assert ours in contexts


async def test_a_file_goes_up_and_comes_back(client: Client) -> None:
    media_id = (await client.call("upload", **PICTURE))["id"]
    found = await client.call("retrieve", id=media_id)
    got = await client.call("download", id=media_id, url=found["url"], type=PICTURE["type"])
    assert base64.b64decode(got) == png()
    assert (await client.call("remove", id=media_id))["success"] is True


async def test_a_file_that_a_user_sent_can_be_fetched(client: Client, world: World) -> None:
    sender = phone()
    await world.writes(sender, "image")
    (heard,) = await until(lambda: client.heard.messages(sender), "the picture")
    media_id = heard["message"]["image"]["id"]
    found = await client.call("retrieve", id=media_id)
    got = await client.call("download", id=media_id, url=found["url"], type="image/png")
    assert base64.b64decode(got).startswith(b"\x89PNG")


@pytest.mark.parametrize("typing", [False, True])
async def test_a_message_is_marked_as_read(client: Client, world: World, typing: bool) -> None:
    before = (await world.control("GET", "ledger/summary"))["read_receipts"]
    wamid = await world.writes(phone())
    assert (await client.call("read", wamid=wamid, typing=typing))["success"] is True
    assert (await world.control("GET", "ledger/summary"))["read_receipts"] == before + 1


async def test_a_recipient_that_cannot_be_is_refused_as_the_provider_would(client: Client) -> None:
    with pytest.raises(Failed) as failed:
        await client.call("send", kind="text", to="12")
    assert failed.value.code in (100, 131009, 131026)


@pytest.mark.parametrize("name", CLIENTS)
async def test_a_key_that_is_none_is_refused_as_the_provider_would(name: str, platform: Platform, world: World) -> None:
    async with pointed_here(name, platform, world, "chq_test_0000000000000000000000000000000000000000") as client:
        with pytest.raises(Failed) as failed:
            await client.call("send", kind="text", to=phone())
        assert failed.value.code == 190


@pytest.mark.parametrize("name", ["pywa", "kapso"])
async def test_templates_and_the_profile_are_the_providers(name: str, platform: Platform, world: World) -> None:
    for language in ("en_US", "es"):
        path = f"templates/{world.number['waba_id']}/of_the_account/{language}"
        await world.control("PUT", path, {"status": "APPROVED", "components": [{"type": "BODY", "text": "Hola"}]})
    async with pointed_here(name, platform, world) as client:
        assert (await client.call("templates"))["data"]
        assert (await client.call("profile"))["data"][0]


async def test_the_next_page_is_on_this_host(api: Api, platform: Platform, world: World) -> None:
    for language in ("en_US", "es"):
        path = f"templates/{world.number['waba_id']}/of_the_account/{language}"
        await world.control("PUT", path, {"status": "APPROVED", "components": [{"type": "BODY", "text": "Hola"}]})
    first = await api.get(f"/v23.0/{world.number['waba_id']}/message_templates?limit=1")
    following = first["paging"]["next"]
    assert following.startswith(platform.run["gateway_url"])
    key = {"Authorization": f"Bearer {platform.run['test_key']}"}
    async with aiohttp.ClientSession(headers=key) as session, session.get(following) as answer:
        second = await answer.json()
    assert first["data"][0]["id"] != second["data"][0]["id"]


async def test_what_is_managed_is_passed_on(platform: Platform, world: World) -> None:
    async with pointed_here("pywa", platform, world) as client:
        assert isinstance(client, PywaClient)
        number = await client.call("number")
        assert number["id"] == world.number["phone_number_id"]
        assert [one["id"] for one in await client.call("numbers")] == [number["id"]]
        assert (await client.call("account"))["id"] == world.number["waba_id"]
        user = phone()
        await world.writes(user)
        assert await client.call("block", user=user) == [user]
        assert user in await client.call("blocked")
        assert await client.call("unblock", user=user) == [user]
