"""A person is erased everywhere: afterwards no column of any schema holds their number, their name or a word of theirs."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from shared.erasure.person import Person
from shared.events.codec import packed
from tests.support.assembly import Assembly, assembled
from tests.support.database import cloned_database
from tests.support.leftovers import leftovers
from tests.support.platform import Api, until
from tests.support.servers import Asking, need

pytestmark = pytest.mark.asyncio(loop_scope="module")

PHONE: Final = "+15558642097"
OTHER: Final = "+15558642098"
NAME: Final = "Wilhelmina Xanthippe"
WORDS: Final = ("Xanthippe", "Zephyrquill", "Brackenwaite", "Fjordlynx", "Mirrowick", "Gropthorn", "Quollvex", "Yttervane")
"""Each stands in something of theirs and nowhere else."""
PERSON: Final = Person(addresses=[PHONE])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def assembly(
    postgres: str, role_password: str, servers: Asking, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Assembly]:
    async with (
        cloned_database(postgres, role_password) as database,
        assembled(database, need(servers, "valkey"), tmp_path_factory.mktemp("erasure") / "journal") as assembly,
    ):
        yield assembly


@pytest_asyncio.fixture(loop_scope="module")
async def api(assembly: Assembly) -> AsyncIterator[Api]:
    async with assembly.api() as api:
        yield api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[TestServer]:
    """A tenant's own, which takes every callback."""

    async def take(request: web.Request) -> web.Response:
        await request.read()
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as running:
        yield running


async def made(api: Api, path: str, body: Any, **headers: str) -> dict[str, Any]:
    status, answer = await api.call("POST", path, body, **headers)
    assert status in {200, 201, 202}, answer
    return dict(answer)


async def say(assembly: Assembly, **body: Any) -> None:
    """Somebody writes to the number."""
    async with aiohttp.ClientSession() as session, session.post(f"{assembly.sandbox_url}/control/inbound", json=body) as sent:
        assert sent.status == 200, await sent.text()


async def found(api: Api, words: str) -> list[dict[str, Any]]:
    hits: list[dict[str, Any]] = (await api.get(f"/api/search?q={words}"))["data"]
    return hits


async def live(api: Api, assembly: Assembly, phone: str, name: str, word: str) -> dict[str, Any]:
    """All that a tenant does with somebody, and they with it."""
    contact = await made(
        api,
        "/api/contacts",
        {"phone": phone, "name": name, "attributes": {"city": word}},
        **{"Idempotency-Key": "contact-" + phone[-2:]},
    )
    sent = await made(
        api,
        "/api/messages",
        {"to": phone, "text": {"body": f"{word} meets you"}, "reference": f"ref-{word}", "metadata": {"key": word}},
        **{"Idempotency-Key": f"to-{phone}"},
    )
    await api.until_status(sent["id"], "read")
    later = await made(
        api, "/api/messages", {"to": phone, "text": {"body": f"{word} later"}, "scheduled_time": "2031-01-01T00:00:00Z"}
    )
    await say(assembly, **{"from": phone[1:], "text": f"{word} says hello", "name": name})
    files = len((await api.get("/api/media"))["data"])
    await say(assembly, **{"from": phone[1:], "type": "image", "name": name})

    async def has_file() -> bool:
        return len((await api.get("/api/media"))["data"]) > files

    await until(has_file, "the file that they sent")
    await until(lambda: found(api, f"{word} hello"), "what they said to be found")
    return {"contact": contact, "sent": sent, "later": later}


async def completed(api: Api, erasure_id: str) -> dict[str, Any]:
    async def done() -> dict[str, Any] | None:
        view = await api.get(f"/api/erasures/{erasure_id}")
        return view if view["state"] == "completed" else None

    return dict(await until(done, "the erasure to be completed"))


async def is_verified(api: Api, erasure: dict[str, Any]) -> None:
    """By whoever has the address."""
    status, problem = await api.call("POST", f"/api/erasures/{erasure['id']}/verify", {"phone": OTHER})
    assert (status, problem["code"]) == (422, "erasure.other_person")
    await made(api, "/api/contacts", {"phone": PHONE})
    await made(api, f"/api/erasures/{erasure['id']}/verify", {"phone": PHONE})
    verified = await completed(api, erasure["id"])
    assert verified["remaining"]["gateway"]["contacts"] == 1, "they have been brought back"
    assert verified["verified_at"] > erasure["verified_at"]
    again = await made(api, "/api/erasures", {"phone": PHONE})
    assert (await completed(api, again["id"]))["remaining"] == {}


async def test_nothing_is_left_of_an_erased_person_and_everything_of_the_others(
    api: Api, assembly: Assembly, server: TestServer
) -> None:
    await made(api, "/api/callbacks", {"url": str(server.make_url("/")), "events": ["message.*"]})
    theirs = await live(api, assembly, PHONE, NAME, "Zephyrquill")
    other = await live(api, assembly, OTHER, "Ottoline Persson", "Wanderfalk")
    recipients = [{"to": "+1 (555) 864-2097", "variables": {"x": "Brackenwaite"}}, {"to": OTHER}]
    content = {"type": "text", "text": {"body": "for all"}}
    asking = {"name": "c", "content": content, "audience": {"recipients": recipients}, "starts_at": "2031-01-01T00:00:00Z"}
    campaign = await made(api, "/api/campaigns", asking)
    await made(api, f"/api/campaigns/{campaign['id']}/start", {})

    async def in_the_ledger() -> bool:
        return len((await api.get(f"/api/campaigns/{campaign['id']}/recipients"))["data"]) == 2

    await until(in_the_ledger, "the campaign's audience")
    alone = await made(
        api, "/api/schedules", {"to": PHONE, "text": {"body": "Gropthorn"}, "scheduled_time": "2031-01-01T00:00:00Z"}
    )
    both = await made(
        api,
        "/api/schedules",
        {"recipients": recipients, "text": {"body": "for both"}, "scheduled_time": "2031-01-01T00:00:00Z"},
    )
    await put_aside(assembly, PHONE, "Quollvex")
    files = len((await api.get("/api/media"))["data"])
    before = await leftovers(assembly.database.admin_url, [*WORDS, PHONE[1:]], PERSON)
    assert len(before) > 20, before

    asked = await made(api, "/api/erasures", {"phone": PHONE})
    erased = await completed(api, asked["id"])

    assert erased.get("remaining") == {}
    assert {"gateway", "scheduler", "sender", "archive"} == set(erased["erased"]), erased
    assert await leftovers(assembly.database.admin_url, [*WORDS, PHONE[1:]], PERSON) == set()
    assert (await api.call("GET", f"/api/contacts/{theirs['contact']['id']}"))[0] == 404
    assert (await api.call("GET", f"/api/schedules/{alone['id']}"))[0] == 404
    message = await api.message(theirs["sent"]["id"])
    assert (message["status"], message["to"], message["content"]) == ("read", "", {"type": "text"})
    assert (await api.message(theirs["later"]["id"]))["status"] == "canceled"
    assert await found(api, "Zephyrquill") == []
    assert len((await api.get("/api/media"))["data"]) == files - 1
    assert [one["to"] for one in (await api.get(f"/api/schedules/{both['id']}"))["recipients"]] == [OTHER]
    named = (await api.get(f"/api/campaigns/{campaign['id']}"))["audience"]["recipients"]
    assert [one["to"] for one in named] == [OTHER]
    ledger = (await api.get(f"/api/campaigns/{campaign['id']}/recipients"))["data"]
    assert {(one["state"], one["to"] == OTHER) for one in ledger} == {("canceled", False), ("pending", True)}
    assert (await api.message(other["sent"]["id"]))["content"]["text"]["body"] == "Wanderfalk meets you"
    assert await found(api, "Wanderfalk hello")
    assert (await api.get(f"/api/contacts/{other['contact']['id']}"))["name"] == "Ottoline Persson"

    await is_verified(api, erased)


async def test_who_had_opted_out_is_not_written_to_although_nobody_knows_the_number_any_more(
    api: Api, assembly: Assembly
) -> None:
    phone = "+15558642099"
    contact = await made(api, "/api/contacts", {"phone": phone})
    status, _ = await api.call("POST", f"/api/contacts/{contact['id']}/opt-out", {"source": "call"})
    assert status == 200
    refused = await made(api, "/api/messages", {"to": phone, "text": {"body": "hello"}})
    await api.until_status(refused["id"], "suppressed")
    erasure = await made(api, "/api/erasures", {"contact_id": contact["id"]})
    erased = await completed(api, erasure["id"])
    assert erased["erased"]["gateway"]["opt_outs"] == 1
    assert erased["erased"]["scheduler"]["suppressions"] == 1
    assert await leftovers(assembly.database.admin_url, [phone[1:]], Person(addresses=[phone])) == set()
    again = await made(api, "/api/messages", {"to": phone, "text": {"body": "hello again"}})
    await api.until_status(again["id"], "suppressed")
    known = await made(api, "/api/contacts", {"phone": phone})
    assert known["consent"]["state"] == "opted_out"
    status, _ = await api.call("POST", f"/api/contacts/{known['id']}/opt-in", {"source": "web"})
    assert status == 200

    async def is_sent() -> bool:
        message = await made(api, "/api/messages", {"to": phone, "text": {"body": "welcome back"}})
        await api.until_status(message["id"], "suppressed", "read")
        return (await api.message(message["id"]))["status"] == "read"

    await until(is_sent, "an opt-in to end it")


async def test_a_request_for_nobody_is_refused(api: Api) -> None:
    for body in ({}, {"phone": "12"}, {"user_id": "x"}, {"contact_id": "ctc_1"}, {"phone": "\x00"}, {"participant_ids": ["x"]}):
        status, problem = await api.call("POST", "/api/erasures", body)
        assert status == 422, (body, problem)
    status, problem = await api.call("POST", "/api/erasures", {"contact_id": f"ctc_{'0' * 26}"})
    assert (status, problem["code"]) == (404, "contact.unknown")
    status, problem = await api.call("POST", "/api/erasures", {"participant_ids": [f"prt_{'0' * 26}"]})
    assert (status, problem["code"]) == (404, "participant.unknown")


async def put_aside(assembly: Assembly, phone: str, word: str) -> None:
    """A payload that could not be read, kept as payloads are: compressed."""
    body = json.dumps({"entry": [{"from": phone[1:], "text": word, "more": "x" * 4_000}]}).encode()
    connection = await asyncpg.connect(assembly.database.admin_url)
    try:
        await connection.execute(
            """
            INSERT INTO gateway.webhooks (tenant_id, body, length, quarantined)
            SELECT tenant_id, $1, $2, 'unknown' FROM gateway.contacts LIMIT 1
            """,
            packed(body),
            len(body),
        )
    finally:
        await connection.close()
