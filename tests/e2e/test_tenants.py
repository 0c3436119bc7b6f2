"""Two tenants on one platform: neither sees, uses or disturbs what is the other's."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import pytest
import pytest_asyncio

from tests.support.assembly import Assembly, assembled, new_tenant
from tests.support.database import cloned_database
from tests.support.platform import Api, until
from tests.support.servers import Asking, need

pytestmark = pytest.mark.asyncio(loop_scope="module")

RECIPIENT: Final = "+15556660001"
"""Both write to the same person."""
OTHER: Final = {
    "phone_number_id": "800000000000001",
    "waba_id": "800000000000002",
    "access_token": "token-of-the-other",
    "app_secret": "secret-of-the-other",
    "verify_token": "verify-of-the-other",
}
WORDS: Final = ("alpacawool", "bromeliads")


@dataclass(slots=True)
class Tenant:
    """One of the two: its way in, its number, and one message that was read and answered."""

    api: Api
    number_id: str
    word: str
    message_id: str = ""
    conversation_id: str = ""

    async def ids(self, path: str) -> set[str]:
        return {one["id"] for one in (await self.api.get(path))["data"]}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    postgres: str, role_password: str, servers: Asking, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Tenant, Tenant]]:
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(cloned_database(postgres, role_password))
        journal = tmp_path_factory.mktemp("tenants") / "journal"
        assembly = await stack.enter_async_context(assembled(database, need(servers, "valkey"), journal))
        first_api = await stack.enter_async_context(assembly.api())
        second_api = await stack.enter_async_context(assembly.api(await new_tenant(database.admin_url, "The other tenant")))
        (first_number,) = (await first_api.get("/api/numbers"))["data"]
        first = Tenant(first_api, first_number["id"], WORDS[0])
        second = Tenant(second_api, await connect_another(assembly, second_api), WORDS[1])
        for tenant in (first, second):
            await converse(tenant)
        yield first, second


async def connect_another(assembly: Assembly, api: Api) -> str:
    at_sandbox = {
        **{name: value for name, value in OTHER.items() if name != "phone_number_id"},
        "display_phone_number": "15550008888",
        "messages_per_second": 1000,
        "webhook_url": f"{assembly.gateway_url}/api/webhooks/whatsapp",
    }
    url = f"{assembly.sandbox_url}/control/numbers/{OTHER['phone_number_id']}"
    async with aiohttp.ClientSession() as session, session.put(url, json=at_sandbox) as answer:
        assert answer.status == 200, await answer.text()
    body = {**OTHER, "display_number": "+15550008888", "messages_per_second": 1000, "provider_url": assembly.sandbox_url}
    status, connected = await api.call("POST", "/api/numbers", body)
    assert status == 201, connected
    return str(connected["id"])


async def converse(tenant: Tenant) -> None:
    tenant.message_id = await tenant.api.send(to=RECIPIENT, text={"body": f"Do you like {tenant.word}?"})
    await tenant.api.until_status(tenant.message_id, "read")

    async def answered() -> list[dict[str, Any]]:
        hits: list[dict[str, Any]] = (await tenant.api.get(f"/api/search?q={tenant.word}"))["data"]
        return hits if len(hits) == 2 else []

    hits = await until(answered, "question and answer to be found")
    (tenant.conversation_id,) = {hit["conversation_id"] for hit in hits}


@pytest.mark.parametrize("who", [0, 1])
async def test_lists_hold_ones_own_only(pair: tuple[Tenant, Tenant], who: int) -> None:
    me, other = pair[who], pair[1 - who]
    assert await me.ids("/api/numbers") == {me.number_id}
    assert await me.ids("/api/conversations") == {me.conversation_id}
    mine = await me.ids("/api/messages?limit=500")
    assert me.message_id in mine
    assert other.message_id not in mine
    assert not mine & await other.ids("/api/messages?limit=500")


@pytest.mark.parametrize("who", [0, 1])
async def test_search_and_conversations_hold_ones_own_words_only(pair: tuple[Tenant, Tenant], who: int) -> None:
    me, other = pair[who], pair[1 - who]
    assert (await me.api.get(f"/api/search?q={other.word}"))["data"] == []
    entries = (await me.api.get(f"/api/conversations/{me.conversation_id}/entries"))["data"]
    assert {entry["direction"] for entry in entries} == {"incoming", "outgoing"}
    assert other.word not in str(entries)


@pytest.mark.parametrize("who", [0, 1])
async def test_ids_of_the_other_are_not_found(pair: tuple[Tenant, Tenant], who: int) -> None:
    me, other = pair[who], pair[1 - who]
    for method, path, body in (
        ("GET", f"/api/messages/{other.message_id}", None),
        ("POST", f"/api/messages/{other.message_id}/cancel", None),
        ("GET", f"/api/numbers/{other.number_id}", None),
        ("PATCH", f"/api/numbers/{other.number_id}", {"messages_per_second": 1}),
        ("GET", f"/api/conversations/{other.conversation_id}", None),
        ("GET", f"/api/conversations/{other.conversation_id}/entries", None),
    ):
        status, problem = await me.api.call(method, path, body)
        assert (status, problem["status"]) == (404, 404), (method, path, problem)
    assert (await other.api.get(f"/api/numbers/{other.number_id}"))["messages_per_second"] == 1000


@pytest.mark.parametrize("who", [0, 1])
async def test_a_message_cannot_go_out_from_the_others_number(pair: tuple[Tenant, Tenant], who: int) -> None:
    me, other = pair[who], pair[1 - who]
    message = {"to": RECIPIENT, "text": {"body": "stolen"}, "from": other.number_id}
    status, problem = await me.api.call("POST", "/api/messages", message)
    assert (status, problem["errors"][0]["pointer"], problem["errors"][0]["code"]) == (422, "/from", "number.unknown")
    status, batch = await me.api.call("POST", "/api/messages/batch", [message])
    assert status == 422 or batch["accepted"] == 0, batch


async def test_the_others_scheduled_message_cannot_be_canceled(pair: tuple[Tenant, Tenant]) -> None:
    first, second = pair
    message_id = await first.api.send(to=RECIPIENT, scheduled_time="2031-01-01T00:00:00Z")
    status, _ = await second.api.call("POST", f"/api/messages/{message_id}/cancel")
    assert status == 404
    assert (await first.api.message(message_id))["status"] == "scheduled"
    status, _ = await first.api.call("POST", f"/api/messages/{message_id}/cancel")
    assert status == 202
    await first.api.until_status(message_id, "canceled")


async def test_a_number_of_the_other_cannot_be_connected_again(pair: tuple[Tenant, Tenant]) -> None:
    first, second = pair
    theirs = await second.api.get(f"/api/numbers/{second.number_id}")
    names = ("phone_number_id", "waba_id", "display_number", "provider_url")
    body = {**{name: theirs[name] for name in names}, "access_token": "x", "app_secret": "x", "verify_token": "x"}
    status, problem = await first.api.call("POST", "/api/numbers", body)
    assert (status, problem["code"]) == (409, "number.exists")


async def test_the_secret_of_one_signs_nothing_about_the_other(pair: tuple[Tenant, Tenant]) -> None:
    first, second = pair
    theirs = await first.api.get(f"/api/numbers/{first.number_id}")
    value = {
        "metadata": {"phone_number_id": theirs["phone_number_id"]},
        "messages": [{"id": "wamid.forged", "from": "15556660002", "timestamp": "1790000000", "text": {"body": "forged"}}],
    }
    body = json.dumps({"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}).encode()
    signature = hmac.new(OTHER["app_secret"].encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature-256": f"sha256={signature}", "Content-Type": "application/json"}
    async with second.api.session.post(f"{second.api.url}/api/webhooks/whatsapp", data=body, headers=headers) as answer:
        assert answer.status == 401


async def test_idempotency_keys_of_the_two_do_not_meet(pair: tuple[Tenant, Tenant]) -> None:
    headers = {"Idempotency-Key": "order-1"}
    answers = [
        await tenant.api.call("POST", "/api/messages", {"to": RECIPIENT, "text": {"body": tenant.word}}, **headers)
        for tenant in pair
    ]
    assert [status for status, _ in answers] == [202, 202]
    assert len({answer["id"] for _, answer in answers}) == 2


async def test_a_cursor_of_the_other_opens_nothing(pair: tuple[Tenant, Tenant]) -> None:
    first, second = pair
    for _ in range(2):
        await second.api.send(to=RECIPIENT)
    cursor = (await second.api.get("/api/messages?limit=1"))["next_cursor"]
    theirs = await second.ids("/api/messages?limit=500")
    status, page = await first.api.call("GET", f"/api/messages?cursor={cursor}")
    assert status == 400 or not {one["id"] for one in page["data"]} & theirs
