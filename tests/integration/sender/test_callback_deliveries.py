"""From told to posted: every update to every callback that wants it, whatever receivers do."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from services.sender.callbacks import chores
from shared.addresses import Networks
from shared.events.catalogue import CallbacksWatched
from shared.ids import NumberId, TenantId, new_id
from shared.limits.breaker import BreakerPolicy
from tests.integration.sender.callbacks_scene import scene, with_status
from tests.support.database import Database
from tests.support.platform import until


async def test_an_update_comes_in_both_forms_signed_as_their_libraries_check(database: Database) -> None:
    async with scene(database) as there:
        standard, meta = await there.make("/standard"), await there.meta("/meta", secret="the app's own secret")
        await there.tell(there.update(1))
        await there.until_states(delivered=2)
        (got,) = there.receiver.at("/standard")
        assert Webhook(standard["secret"]).verify(got.body, got.headers)["data"] == {"n": 1}
        (got,) = there.receiver.at("/meta")
        assert meta["secret"] == "the app's own secret"
        expected = "sha256=" + hmac.new(b"the app's own secret", got.body, hashlib.sha256).hexdigest()
        assert got.headers["X-Hub-Signature-256"] == expected
        assert got.headers["User-Agent"] == "facebookexternalua"
        assert got.headers["Content-Length"] == str(len(got.body))
        assert "Transfer-Encoding" not in got.headers
        assert got.json == {
            "object": "whatsapp_business_account",
            "entry": [{"id": "1", "changes": [{"value": {"n": 1}, "field": "messages"}]}],
        }


async def test_told_twice_it_is_posted_once(database: Database) -> None:
    async with scene(database) as there:
        await there.make()
        await asyncio.gather(*(there.tell_many(20) for _ in range(4)))
        await there.until_states(delivered=20)
        await there.tell_many(20)
        await there.until_states(delivered=20)
    assert sorted(got.json["data"]["n"] for got in there.receiver.got) == list(range(20))


async def test_only_what_is_wanted_is_told_and_only_to_whom_it_belongs(database: Database) -> None:
    async with scene(database) as there:
        await there.make("/read", events=["message.read"])
        await there.make("/off", enabled=False)
        await there.tell(
            there.update(1),
            there.update(2, type="message.read"),
            there.update(3, type="message.read", tenant_id=TenantId(new_id("tnt"))),
            there.update(4, type="message.read", data={}),
        )
        await there.until_states(delivered=1)
    assert [(got.path, got.json["data"]) for got in there.receiver.got] == [("/read", {"n": 2})]


async def test_what_fails_comes_again_by_the_schedule_until_it_is_given_up(database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/hook"] = with_status(404)
        made = await there.make()
        await there.tell(there.update(1))
        await there.until_failures(1)
        (delivery,) = await there.log(made)
        assert (delivery["state"], delivery["failures"], delivery["last"]["status"]) == ("waiting", 1, 404)
        wait = datetime.fromisoformat(delivery["next_attempt_at"]) - datetime.now(UTC)
        assert timedelta(0) < wait < timedelta(seconds=6)
        for failures in range(2, 11):
            await there.pass_time()
            await there.until_failures(failures)
        (delivery,) = await there.log(made)
        assert (delivery["state"], delivery["code"]) == ("failed", "retries.exhausted")
        _, shown = await there.ask("GET", f"/api/callbacks/{made['id']}/deliveries/{delivery['id']}")
        assert [one["error"] for one in shown["tries"]] == ["answer.refused"] * 10
        assert len({got.headers["webhook-id"] for got in there.receiver.got}) == 1


async def test_retry_after_is_kept_and_leaves_the_callback_in_peace(database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/hook"] = with_status(429, Retry_After="3600")
        made = await there.make()
        await there.tell(there.update(1))
        await there.until_failures(1)
        (delivery,) = await there.log(made)
        assert datetime.fromisoformat(delivery["next_attempt_at"]) > datetime.now(UTC) + timedelta(minutes=59)
        await there.tell(there.update(2))
        await there.make("/other")
        await there.tell(there.update(3))
        await until(lambda: there.receiver.at("/other"), "the other callback to be told")
        assert len(there.receiver.at("/hook")) == 1
        _, shown = await there.ask("GET", f"/api/callbacks/{made['id']}")
        assert "rests_until" in shown
        assert "failing_since" in shown


async def test_gone_turns_a_callback_off_and_the_gateway_hears_of_it(database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/hook"] = with_status(410)
        made = await there.make()
        await there.tell(there.update(1))

        async def is_off() -> bool:
            _, shown = await there.ask("GET", f"/api/callbacks/{made['id']}")
            return bool(shown["state"] == "disabled" and shown["reason"] == "callback.gone")

        await until(is_off, "the callback to be disabled")
        watched = [(e.revision, e.is_watched) for e in await there.told() if isinstance(e, CallbacksWatched)]
        assert watched == [(1, True), (2, False)]


async def test_what_waits_for_a_disabled_callback_fails_and_of_a_deleted_one_nothing_stays(database: Database) -> None:
    async with scene(database, works=False) as there:
        off, gone = await there.make("/off"), await there.make("/gone")
        await there.tell_many(3)
        await there.ask("PATCH", f"/api/callbacks/{off['id']}", {"enabled": False})
        await there.ask("DELETE", f"/api/callbacks/{gone['id']}")
        await chores.sweep(there.pool)
        assert await there.states() == {"failed": 3}
        assert {one["code"] for one in await there.log(off)} == {"callback.disabled"}
        await there.pool.execute("UPDATE callbacks SET updated_at = now() - interval '1 hour' WHERE state = 'deleted'")
        await chores.sweep(there.pool)
        assert await there.pool.fetchval("SELECT count(*) FROM callbacks") == 1


async def test_five_days_of_failure_turn_a_callback_off_and_one_success_ends_the_count(database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/dead"] = with_status(500)
        dead, alive = await there.make("/dead"), await there.make("/alive")
        idle = await there.make("/idle", events=["message.read"])
        await there.pool.execute("UPDATE callbacks SET failing_since = now() - interval '121 hours'")
        await there.tell(there.update(1))

        async def recovered() -> bool:
            _, shown = await there.ask("GET", f"/api/callbacks/{alive['id']}")
            return "failing_since" not in shown

        await until(recovered, "the success to be noted")
        await there.until_failures(1)
        await chores.turn_off_failing(there.outbox, there.pool)
        _, shown = await there.ask("GET", f"/api/callbacks/{dead['id']}")
        assert (shown["state"], shown["reason"]) == ("disabled", "callback.failing")
        for other in (alive, idle):
            _, shown = await there.ask("GET", f"/api/callbacks/{other['id']}")
            assert shown["state"] == "enabled", "who is told nothing does not fail"


async def test_what_a_killed_process_had_claimed_comes_again(database: Database) -> None:
    async with scene(database) as there:
        release = asyncio.Event()

        async def silent(_: web.Request) -> web.StreamResponse:
            await release.wait()
            return web.Response()

        there.receiver.answers["/hook"] = silent
        await there.make()
        await there.tell(there.update(1))
        await until(lambda: there.receiver.got, "the post to be under way")
        row = await there.pool.fetchrow("SELECT * FROM callback_deliveries")
        assert row is not None
        assert row["is_claimed"]
        assert row["due_at"] > datetime.now(UTC) + timedelta(seconds=30)
        there.receiver.answers.clear()
        await there.pool.execute("UPDATE callback_deliveries SET due_at = now()")  # the lease of one that died
        there.callbacks.crew.wake()
        await there.until_states(delivered=1)
        release.set()
    tries = await _tries(database)
    assert tries == [1], "the outcome of who lost the claim is not written"


async def _tries(database: Database) -> list[int]:
    async with scene(database, works=False) as there:
        return [row[0] for row in await there.pool.fetch("SELECT jsonb_array_length(tries) FROM callback_deliveries")]


async def test_two_crews_share_the_work(database: Database) -> None:
    async with scene(database) as one, scene(database) as other:
        made = await one.make()
        await one.tell_many(200)
        other.callbacks.crew.wake()
        await one.until_states(delivered=200)
        assert len(await one.log(made, "?limit=500")) == 200
    assert len(one.receiver.got) == 200


@pytest.mark.parametrize(
    ("networks", "url", "error"),
    [
        ("", "http://127.0.0.1:1/hook", "address.forbidden"),
        ("", "https://localhost:1/hook", "address.forbidden"),
        ("127.0.0.0/8", "http://127.0.0.1:1/hook", "connection.refused"),
        ("127.0.0.0/8", "https://nobody.invalid/hook", "address.unknown"),
    ],
)
async def test_addresses_are_looked_at_as_they_are_connected_to(
    networks: str, url: str, error: str, database: Database
) -> None:
    """Named when it was admitted, the address may have become another since."""
    async with scene(database, networks=Networks.parse(networks)) as there:
        there.callbacks.crew.wake()
        async with scene(database, works=False) as trusting:
            trusting.tenant = there.tenant
            made = await trusting.make()
            await trusting.pool.execute("UPDATE callbacks SET url = $1", url)
            await trusting.tell(there.update(1))
            there.callbacks.crew.wake()
            await there.until_failures(1)
            (delivery,) = await there.log(made)
    assert delivery["last"]["error"] == error
    assert not trusting.receiver.got


async def test_redirects_are_not_followed(database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/hook"] = with_status(307, Location=f"{there.receiver_url}/elsewhere")
        made = await there.make()
        await there.tell(there.update(1))
        await there.until_failures(1)
        (delivery,) = await there.log(made)
    assert (delivery["last"]["status"], delivery["last"]["error"]) == (307, "answer.redirect")
    assert not there.receiver.at("/elsewhere")


async def test_of_a_long_answer_the_beginning_is_kept_and_its_status_counts(database: Database) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"\0x" * 4_000)

    async with scene(database) as there:
        there.receiver.answers["/hook"] = endless
        await there.make()
        await there.tell(there.update(1))
        await there.until_states(delivered=1)


async def test_a_server_that_knows_the_former_secret_is_served_while_that_is_valid(database: Database) -> None:
    async with scene(database) as there:
        known = {"secret": "the former secret"}

        async def checking(request: web.Request) -> web.StreamResponse:
            signed = "sha256=" + hmac.new(known["secret"].encode(), await request.read(), hashlib.sha256).hexdigest()
            return web.Response(status=200 if request.headers["X-Hub-Signature-256"] == signed else 403)

        there.receiver.answers["/hook"] = checking
        made = await there.meta(secret="the former secret")
        path = f"/api/callbacks/{made['id']}/secret"
        status, rotated = await there.ask("POST", path, {"secret": "a whole new secret", "previous_secret_for": 60})
        assert (status, rotated["secret"]) == (200, "a whole new secret")
        assert "previous_secret_until" in rotated
        await there.tell(there.update(1))
        await there.until_states(delivered=1)
        known["secret"] = "a whole new secret"
        await there.tell(there.update(2))
        await there.until_states(delivered=2)
        known["secret"] = "the former secret"
        await there.ask("POST", path, {"secret": "yet another secret", "previous_secret_for": 0})
        await there.tell(there.update(3))
        await there.until_failures(1)
    assert len(there.receiver.got) == 2 + 1 + 1


async def test_numbers_choose(database: Database) -> None:
    async with scene(database) as there:
        mine = new_id("num")
        await there.pool.execute(
            "INSERT INTO numbers (number_id, tenant_id, revision, phone_number_id, provider_url, sealed_access_token, "
            "messages_per_second) VALUES ($1, $2, 1, '1', '', '', 1)",
            mine,
            there.tenant,
        )
        await there.make("/mine", number_ids=[mine])
        await there.tell(there.update(1), there.update(2, number_id=NumberId(mine)))
        await there.until_states(delivered=1)
    assert [got.json["number_id"] for got in there.receiver.got] == [mine]


async def test_a_server_that_is_back_is_probed_and_gets_all_that_has_waited(
    database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.sender.callbacks.app.POLICY", BreakerPolicy(open_seconds=1.0, lease_seconds=5.0))
    async with scene(database, redis_url=redis_url) as there:
        stop = asyncio.Event()
        breakers = there.callbacks.components[-1]
        async with asyncio.TaskGroup() as group:
            group.create_task(breakers.run(stop))
            there.receiver.answers["/hook"] = with_status(500)
            await there.make()
            await there.tell_many(50)
            await there.until_failures(5)
            there.receiver.answers.clear()

            async def all_delivered() -> bool:
                await there.pass_time()
                return await there.states() == {"delivered": 50}

            await until(all_delivered, "all to be delivered", 30)
            stop.set()
