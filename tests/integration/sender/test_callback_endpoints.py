"""/api/callbacks as the gateway asks for it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aiohttp import web

from shared.addresses import Networks
from shared.events.catalogue import CallbacksWatched
from shared.ids import new_id
from tests.integration.sender.callbacks_scene import VERIFY_TOKEN, Scene, scene, with_status
from tests.support.database import Database

ALL = "/api/callbacks"


async def watched(there: Scene) -> list[tuple[int, bool]]:
    return [(event.revision, event.is_watched) for event in await there.told() if isinstance(event, CallbacksWatched)]


async def faults(there: Scene, method: str, path: str, body: Any) -> list[tuple[str, str]]:
    status, answer = await there.ask(method, path, body)
    assert status == 422, answer
    return [(fault["pointer"], fault["code"]) for fault in answer["errors"]]


async def test_a_callback_is_made_read_and_its_secret_is_never_shown_again(database: Database) -> None:
    async with scene(database, works=False) as there:
        made = await there.make(events=["message.*"], name="Ours")
        assert made["secret"].startswith("whsec_")
        path = f"{ALL}/{made['id']}"
        status, shown = await there.ask("GET", path)
        assert status == 200
        assert shown == {name: value for name, value in made.items() if name != "secret"}
        assert (shown["state"], shown["format"], shown["events"]) == ("enabled", "standard", ["message.*"])
        rows = await there.pool.fetch("SELECT * FROM callbacks")
        kept = await there.pool.fetch("SELECT * FROM idempotency_keys")
        assert made["secret"] not in repr([*rows, *kept])


async def test_one_tenant_sees_nothing_of_another(database: Database) -> None:
    async with scene(database, works=False) as there:
        made = await there.make()
        await there.tell(there.update(1))
        (delivery,) = await there.log(made)
        other, one = new_id("tnt"), f"{ALL}/{made['id']}"
        for method, path, body in (
            ("GET", one, None),
            ("PATCH", one, {"enabled": False}),
            ("DELETE", one, None),
            ("POST", f"{one}/secret", {}),
            ("POST", f"{one}/test", None),
            ("POST", f"{one}/replay", {"since": "2026-01-01T00:00:00Z"}),
            ("GET", f"{one}/deliveries", None),
            ("GET", f"{one}/deliveries/{delivery['id']}", None),
            ("POST", f"{one}/deliveries/{delivery['id']}/retry", None),
        ):
            status, answer = await there.ask(method, path, body, tenant=other)
            assert (status, answer["code"]) == (404, "callback.unknown"), (method, path)
        assert await there.ask("GET", ALL, tenant=other) == (200, {"data": []})
        status, _ = await there.ask("GET", ALL, Authorization="Bearer wrong")
        assert status == 401


async def test_the_gateway_is_told_when_a_tenant_begins_and_ceases_to_watch(database: Database) -> None:
    async with scene(database, works=False) as there:
        first = await there.make()
        second = await there.make(enabled=False)
        assert await watched(there) == [(1, True)]
        await there.ask("PATCH", f"{ALL}/{second['id']}", {"enabled": True})
        await there.ask("DELETE", f"{ALL}/{first['id']}")
        assert await watched(there) == []
        await there.ask("PATCH", f"{ALL}/{second['id']}", {"enabled": False})
        assert await watched(there) == [(2, False)]
        _, shown = await there.ask("GET", f"{ALL}/{second['id']}")
        assert (shown["state"], shown["reason"]) == ("disabled", "tenant")
        assert "disabled_at" in shown


async def test_a_tenant_has_twenty_at_most_however_they_are_made(database: Database) -> None:
    async with scene(database, works=False) as there:
        body = {"url": f"{there.receiver_url}/x"}
        answers = await asyncio.gather(*(there.ask("POST", ALL, body) for _ in range(25)))
        assert sorted(status for status, _ in answers) == [201] * 20 + [409] * 5
        assert {answer["code"] for status, answer in answers if status == 409} == {"callbacks.too_many"}
        found: list[str] = []
        cursor = ""
        while True:
            _, page = await there.ask("GET", f"{ALL}?limit=7{cursor}")
            found += [one["id"] for one in page["data"]]
            if "next_cursor" not in page:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert len(set(found)) == 20
        assert found == sorted(found, reverse=True)


async def test_metas_form_is_made_when_the_address_answers_the_challenge(database: Database) -> None:
    async with scene(database, works=False) as there:
        made = await there.meta("/hook?a=b%20c")
        (asked,) = there.receiver.asked
        assert asked["a"] == "b c"
        assert asked["hub.mode"] == "subscribe"
        assert asked["hub.challenge"].isdecimal()
        assert len(made["secret"]) == 32
        assert await faults(there, "POST", ALL, {"url": there.receiver_url, "format": "meta", "verify_token": "another"}) == [
            ("/url", "callback.not_verified")
        ]


@pytest.mark.parametrize("answer", [with_status(200), with_status(500), with_status(302, Location="https://example.com/")])
async def test_an_address_that_answers_otherwise_is_refused(answer: Any, database: Database) -> None:
    async with scene(database, works=False) as there:
        there.receiver.handshake = answer
        body = {"url": there.receiver_url, "format": "meta", "verify_token": VERIFY_TOKEN}
        assert await faults(there, "POST", ALL, body) == [("/url", "callback.not_verified")]
        assert await there.pool.fetchval("SELECT count(*) FROM callbacks") == 0


async def test_a_new_address_or_token_means_a_new_challenge_and_all_else_none(database: Database) -> None:
    async with scene(database, works=False) as there:
        path = f"{ALL}/{(await there.meta())['id']}"
        for body, challenges in (
            ({"name": "Ours", "events": ["message.read"]}, 1),
            ({"url": f"{there.receiver_url}/hook"}, 1),
            ({"url": f"{there.receiver_url}/new"}, 2),
            ({"verify_token": VERIFY_TOKEN}, 3),
        ):
            status, answer = await there.ask("PATCH", path, body)
            assert status == 200, answer
            assert len(there.receiver.asked) == challenges
        assert await faults(there, "PATCH", path, {"verify_token": "another"}) == [("/url", "callback.not_verified")]
        _, shown = await there.ask("GET", path)
        assert (shown["url"], shown["name"], shown["events"]) == (f"{there.receiver_url}/new", "Ours", ["message.read"])
        _, shown = await there.ask("PATCH", path, {"name": None})
        assert "name" not in shown


async def test_a_key_makes_one_callback_asks_once_and_answers_alike_with_the_secret(database: Database) -> None:
    async with scene(database, works=False) as there:
        body = {"url": there.receiver_url, "format": "meta", "verify_token": VERIFY_TOKEN}
        first = await there.ask("POST", ALL, body, Idempotency_Key="k")
        there.receiver.handshake = with_status(500)
        assert await there.ask("POST", ALL, body, Idempotency_Key="k") == first
        assert first[0] == 201
        kept = await there.pool.fetchval("SELECT answer FROM idempotency_keys")
        assert first[1]["secret"].encode() not in kept
        status, answer = await there.ask("POST", ALL, {"url": there.receiver_url}, Idempotency_Key="k")
        assert (status, answer["code"]) == (422, "idempotency.key_reused")
        assert await there.pool.fetchval("SELECT count(*) FROM callbacks") == 1
        path = f"{ALL}/{first[1]['id']}/secret"
        rotated = await there.ask("POST", path, {}, Idempotency_Key="r")
        assert await there.ask("POST", path, {}, Idempotency_Key="r") == rotated


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({}, ("/url", "field.missing")),
        ({"url": "ftp://example.com"}, ("/url", "field.format")),
        ({"url": "https://user:secret@example.com/"}, ("/url", "field.format")),
        ({"url": "https://example.com/#part"}, ("/url", "field.format")),
        ({"url": "https://exämple.com/"}, ("/url", "field.format")),
        ({"url": "https://example.com/a b"}, ("/url", "field.format")),
        ({"url": "https://[::1"}, ("/url", "field.format")),
        ({"url": "https://example.com:99999/"}, ("/url", "field.format")),
        ({"url": "https://" + "a" * 2_000}, ("/url", "field.too_long")),
        ({"url": "https://example.com", "events": []}, ("/events", "field.too_short")),
        ({"url": "https://example.com", "events": ["Message!"]}, ("/events/0", "field.format")),
        ({"url": "https://example.com", "number_ids": ["num_1"]}, ("/number_ids/0", "field.format")),
        ({"url": "https://example.com", "number_ids": [new_id("num")]}, ("/number_ids/0", "number.unknown")),
        ({"url": "https://example.com", "secret": "short"}, ("/secret", "field.too_short")),
        ({"url": "https://example.com", "secret": "no secret of the standard"}, ("/secret", "secret.format")),
        ({"url": "https://example.com", "events": ["*", "message.nonsense"]}, ("/events/1", "field.choice")),
        ({"url": "https://example.com", "events": ["nonsense.*"]}, ("/events/0", "field.choice")),
        ({"url": "https://example.com", "format": "meta"}, ("/verify_token", "verify_token.missing")),
        ({"url": "https://example.com", "verify_token": "x"}, ("/verify_token", "verify_token.surplus")),
        ({"url": "https://example.com", "name": "\0"}, ("/name", "field.bad_text")),
        ({"url": "https://example.com", "surprise": 1}, ("/surprise", "field.unknown")),
        ({"url": "https://example.com", "enabled": "yes"}, ("/enabled", "field.type")),
    ],
)
async def test_what_is_wrong_is_named(body: dict[str, Any], fault: tuple[str, str], database: Database) -> None:
    async with scene(database, works=False) as there:
        assert await faults(there, "POST", ALL, body) == [fault]


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "https://127.0.0.1/",
        "https://10.0.0.1:8443/",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
    ],
)
async def test_addresses_that_are_not_public_are_refused_when_they_are_named(url: str, database: Database) -> None:
    async with scene(database, networks=Networks(), works=False) as there:
        assert await faults(there, "POST", ALL, {"url": url}) == [("/url", "address.forbidden")]


@pytest.mark.parametrize("url", ["http://93.184.216.34/", "http://nobody.invalid/", "http://[2606:2800:220:1::1]/"])
async def test_plain_http_goes_to_allowed_networks_only(url: str, database: Database) -> None:
    async with scene(database, works=False) as there:
        assert await faults(there, "POST", ALL, {"url": url}) == [("/url", "address.forbidden")]
        made = await there.make()
        assert await faults(there, "PATCH", f"{ALL}/{made['id']}", {"url": url}) == [("/url", "address.forbidden")]
        status, _ = await there.ask("POST", ALL, {"url": "http://localhost:1/"})
        assert status == 201


async def test_types_that_are_told_are_taken_and_a_secret_is_counted_in_characters(database: Database) -> None:
    async with scene(database, works=False) as there:
        await there.make(events=["*", "message.*", "media.stored", "provider.*", "provider.calls", "callback.test"])
        _, answer = await there.ask("POST", ALL, {"url": "https://example.com", "secret": "short"})
        assert answer["errors"][0]["detail"] == "must have at least 16 characters"


async def test_a_new_secret_needs_no_body(database: Database) -> None:
    async with scene(database, works=False) as there:
        made = await there.make()
        status, rotated = await there.ask("POST", f"{ALL}/{made['id']}/secret")
        assert status == 200, rotated
        assert rotated["secret"] != made["secret"]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"types": ["message.nonsense"]}, ("/types/0", "field.choice")),
        ({"types": ["nonsense.*"]}, ("/types/0", "field.choice")),
        ({"until": "2025-12-31T23:59:59Z"}, ("/until", "field.out_of_range")),
    ],
)
async def test_what_cannot_have_been_told_is_not_replayed(
    body: dict[str, Any], fault: tuple[str, str], database: Database
) -> None:
    async with scene(database, works=False) as there:
        path = f"{ALL}/{(await there.make())['id']}/replay"
        assert await faults(there, "POST", path, {"since": "2026-01-01T00:00:00Z", **body}) == [fault]


async def test_a_pattern_chooses_what_is_replayed(database: Database) -> None:
    async with scene(database) as there:
        path = f"{ALL}/{(await there.make())['id']}/replay"
        types = ("contact.identity_changed", "contact.consent_changed", "message.read")
        await there.tell(*(there.update(number, type=kind) for number, kind in enumerate(types)))
        await there.until_states(delivered=3)
        for chosen, count in ((["contact.*"], 2), (["contact.identity_changed"], 1), (["*"], 3), (["media.*"], 0)):
            body = {"since": "2026-01-01T00:00:00Z", "states": ["delivered"], "types": chosen}
            assert await there.ask("POST", path, body) == (200, {"replayed": count})
            await there.until_states(delivered=3)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b'{"url":' + b"[" * 100_000, b'{"name":"\\ud800"}'])
async def test_nonsense_is_refused(body: bytes, database: Database) -> None:
    async with scene(database, works=False) as there:
        made = await there.make()
        for method, path in (("POST", ALL), ("PATCH", f"{ALL}/{made['id']}"), ("POST", f"{ALL}/{made['id']}/replay")):
            status, _ = await there.ask(method, path, body)
            assert status in {400, 422}


async def test_a_test_is_posted_at_once_and_stands_in_the_log(database: Database) -> None:
    async with scene(database, works=False) as there:
        made = await there.meta()
        path = f"{ALL}/{made['id']}/test"
        status, answer = await there.ask("POST", path, Idempotency_Key="t")
        assert (status, answer["delivered"], answer["status"]) == (200, True, 200)
        assert await there.ask("POST", path, Idempotency_Key="t") == (status, answer)
        (got,) = there.receiver.got
        assert got.json["entry"][0]["changes"][0]["value"]["messages"][0]["type"] == "text"
        there.receiver.answers["/hook"] = with_status(500)
        _, answer = await there.ask("POST", path)
        assert (answer["delivered"], answer["status"], answer["error"], answer["answer"]) == (
            False,
            500,
            "answer.refused",
            "no",
        )
        assert [one["state"] for one in await there.log(made)] == ["failed", "delivered"]
        assert all(one["last"]["at"].endswith("Z") for one in await there.log(made))


async def test_the_log_is_read_by_pages_and_by_what_became_of_it(database: Database) -> None:
    async with scene(database) as there:
        made = await there.make()
        await there.tell_many(5)
        await there.until_states(delivered=5)
        there.receiver.answers["/hook"] = with_status(410)
        await there.tell(there.update(6, type="message.read"))
        await there.until_states(delivered=5, failed=1)
        found: list[str] = []
        cursor = ""
        while True:
            _, page = await there.ask("GET", f"{ALL}/{made['id']}/deliveries?limit=2{cursor}")
            found += [one["id"] for one in page["data"]]
            if "next_cursor" not in page:
                break
            cursor = f"&cursor={page['next_cursor']}"
        assert len(found) == len(set(found)) == 6
        (failed,) = await there.log(made, "?state=failed")
        assert (failed["type"], failed["last"]["status"]) == ("message.read", 410)
        assert len(await there.log(made, "?state=delivered&type=message.received")) == 5
        assert await there.log(made, "?since=2100-01-01T00:00:00Z") == []
        assert len(await there.log(made, "?until=2100-01-01T00:00:00Z")) == 6
        _, shown = await there.ask("GET", f"{ALL}/{made['id']}/deliveries/{failed['id']}")
        assert '"n":6' in shown["body"]
        for bad in ("e30", "x", "W10", "WzEsMl0", "WyJ4IiwiZGx2XzEiXQ"):
            status, answer = await there.ask("GET", f"{ALL}/{made['id']}/deliveries?cursor={bad}")
            assert (status, answer["code"]) == (400, "cursor.invalid")


async def test_what_was_told_in_a_time_is_told_again_under_the_same_names(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sender.callbacks.routes.REPLAY_LIMIT", 4)
    async with scene(database) as there:
        made = await there.make()
        await there.tell_many(10)
        await there.until_states(delivered=10)
        there.receiver.got.clear()
        path, body = f"{ALL}/{made['id']}/replay", {"since": "2026-01-01T00:00:00Z", "states": ["delivered"]}
        assert await there.ask("POST", path, {"since": "2026-01-01T00:00:00Z"}) == (200, {"replayed": 0})
        replayed = 0
        cursor: dict[str, str] = {}
        while True:
            status, answer = await there.ask("POST", path, {**body, **cursor})
            assert status == 200, answer
            replayed += answer["replayed"]
            if "next_cursor" not in answer:
                break
            cursor = {"cursor": answer["next_cursor"]}
        assert replayed == 10
        await there.until_states(delivered=10)
        assert sorted(got.headers["webhook-id"] for got in there.receiver.got) == [f"upd_{n:04d}" for n in range(10)]
        await there.ask("PATCH", f"{ALL}/{made['id']}", {"enabled": False})
        status, answer = await there.ask("POST", path, body)
        assert (status, answer["code"]) == (409, "callback.disabled")


async def test_one_delivery_is_made_again_at_once_unless_it_is_under_way(database: Database) -> None:
    async with scene(database) as there:
        release, began = asyncio.Event(), asyncio.Event()
        there.receiver.answers["/hook"] = with_status(400)
        made = await there.make()
        await there.tell(there.update(1))
        await there.until_failures(1)
        (delivery,) = await there.log(made)
        path = f"{ALL}/{made['id']}/deliveries/{delivery['id']}/retry"

        async def slow(_: web.Request) -> web.StreamResponse:
            began.set()
            await release.wait()
            return web.Response()

        there.receiver.answers["/hook"] = slow
        status, shown = await there.ask("POST", path)
        assert (status, shown["state"]) == (200, "waiting")
        await asyncio.wait_for(began.wait(), 20)
        status, answer = await there.ask("POST", path)
        assert (status, answer["code"]) == (409, "delivery.under_way")
        release.set()
        await there.until_states(delivered=1)
        status, _ = await there.ask("POST", path)
        assert status == 200
        await there.until_states(delivered=1)
