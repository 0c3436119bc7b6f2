"""Whoever is silent, slow or ill leaves the others their place, and those who send theirs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from aiohttp import web

from services.sender.callbacks import crew
from services.sender.callbacks.app import BY_HAND
from services.sender.callbacks.circuits import POLICY
from services.sender.callbacks.post import TOTAL_SECONDS
from services.sender.store import callbacks
from shared.limits.breaker import Machine, State
from shared.limits.breakers import Breakers
from tests.integration.sender.callbacks_scene import scene, with_status
from tests.support.database import Database
from tests.support.platform import until


async def test_silent_receivers_leave_the_others_their_place(database: Database) -> None:
    """Twelve that never answer have hundreds waiting, and the crew has sixteen slots: the one that answers gets all of its own."""
    async with scene(database, concurrency=16) as there:
        release = asyncio.Event()

        async def silent(_: web.Request) -> web.StreamResponse:
            await release.wait()
            return web.Response(status=500)

        for number in range(12):
            there.receiver.answers[f"/dead{number}"] = silent
            await there.make(f"/dead{number}")
        await there.tell_many(30)
        await until(lambda: len(there.receiver.got) >= 12, "the silent ones to be posted to")
        await there.make("/alive", events=["message.read"])
        await there.tell(*(there.update(1_000 + n, type="message.read") for n in range(50)))
        await until(lambda: len(there.receiver.at("/alive")) == 50, "the sound one to be told all")
        release.set()


async def test_the_dead_are_left_alone_after_some_failures_and_their_deliveries_keep_their_attempts(database: Database) -> None:
    async with scene(database, concurrency=16) as there:
        there.receiver.answers["/dead"] = with_status(503)
        made = await there.make("/dead")
        await there.tell_many(100)
        await there.until_failures(POLICY.threshold)
        await there.make("/alive", events=["message.read"])
        await there.tell(there.update(1_000, type="message.read"))
        await until(lambda: there.receiver.at("/alive"), "the sound one to be told")
        assert len(there.receiver.at("/dead")) < 20
        untouched = [one for one in await there.log(made, "?limit=500") if one["failures"] == 0]
        assert len(untouched) > 80, "the circuit is open: what waits spends no attempt"


async def test_the_failing_who_wait_the_longest_hide_nobody(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """More of them than are looked at in one go, each with more that is due than it will ever answer."""
    monkeypatch.setattr(crew, "CANDIDATES", 2)
    async with scene(database, concurrency=4) as there:
        release = asyncio.Event()

        async def silent(_: web.Request) -> web.StreamResponse:
            await release.wait()
            return web.Response(status=500)

        for number in range(6):
            there.receiver.answers[f"/dead{number}"] = silent
            await there.make(f"/dead{number}")
        await there.pool.execute("UPDATE callbacks SET failing_since = now(), failed_at = now()")
        await there.tell_many(10)
        await until(lambda: there.receiver.got, "a silent one to be posted to")
        await there.make("/alive", events=["message.read"])
        await there.tell(there.update(1_000, type="message.read"))
        await until(lambda: there.receiver.at("/alive"), "the sound one to be told")
        release.set()


async def test_the_sound_come_first_and_the_failing_in_turn(database: Database) -> None:
    async with scene(database, works=False) as there:
        made = [(await there.make(f"/{name}"))["id"] for name in ("lately", "long-ago", "sound")]
        for minutes, one in enumerate(made[:2]):
            await there.pool.execute(
                "UPDATE callbacks SET failing_since = now(), failed_at = now() - make_interval(mins => $2) WHERE id = $1",
                one,
                minutes,
            )
        await there.tell(there.update())
        found = [row["id"] for row in await callbacks.waiting(there.pool, [], 10)]
        assert found == [made[2], made[1], made[0]]
        assert [row["id"] for row in await callbacks.waiting(there.pool, [made[1]], 1)] == [made[2], made[0]]


async def test_tests_of_silent_servers_take_no_connection_of_the_crew(database: Database) -> None:
    async with scene(database, concurrency=4) as there, asyncio.TaskGroup() as group:
        release = asyncio.Event()

        async def silent(_: web.Request) -> web.StreamResponse:
            await release.wait()
            return web.Response()

        there.receiver.answers["/silent"] = silent
        made = await there.make("/silent", events=["message.sent"])
        await there.make("/alive")
        tests = [group.create_task(there.ask("POST", f"/api/callbacks/{made['id']}/test")) for _ in range(BY_HAND + 8)]
        await until(lambda: len(there.receiver.at("/silent")) == BY_HAND, "all connections for tests to be taken")
        await there.tell_many(20)
        await until(lambda: len(there.receiver.at("/alive")) == 20, "all to be told")
        assert not any(test.done() for test in tests)
        release.set()


async def test_who_never_failed_has_no_circuit_to_be_asked_of_redis(database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/ill"] = with_status(500)
        await there.make("/sound")
        await there.tell_many(20)
        await there.until_states(delivered=20)
        breakers = there.callbacks.components[-1]
        assert isinstance(breakers, Breakers)
        assert breakers.states() == {}
        ill = await there.make("/ill")
        await there.tell(there.update(1_000))
        await there.until_failures(1)
        assert list(breakers.states()) == [f"callback:{ill['id']}"]


async def test_gone_says_nothing_of_the_address_that_came_after(database: Database) -> None:
    async with scene(database) as there:
        release = asyncio.Event()

        async def gone(_: web.Request) -> web.StreamResponse:
            await release.wait()
            return web.Response(status=410)

        there.receiver.answers["/old"] = gone
        made = await there.make("/old")
        await there.tell(there.update(1))
        await until(lambda: there.receiver.got, "the former address to be posted to")
        status, _ = await there.ask("PATCH", f"/api/callbacks/{made['id']}", {"url": f"{there.receiver_url}/new"})
        assert status == 200
        release.set()
        await there.until_states(failed=1)
        await there.tell(there.update(2))
        await there.until_states(failed=1, delivered=1)
        _, shown = await there.ask("GET", f"/api/callbacks/{made['id']}")
        assert shown["state"] == "enabled"


async def test_a_rest_is_shown_and_what_is_asked_for_by_hand_goes_past_it_and_ends_it(
    database: Database, redis_url: str
) -> None:
    """A minute has to pass before the circuit lets anything through by itself."""
    async with scene(database, redis_url=redis_url) as there, scene(database, redis_url=redis_url, works=False) as other:
        other.tenant = there.tenant
        there.receiver.answers["/ill"] = with_status(500)
        made = await there.make("/ill")
        path = f"/api/callbacks/{made['id']}"
        await there.tell_many(40)

        async def rests() -> bool:
            _, shown = await there.ask("GET", path)
            return "rests_until" in shown

        await until(rests, "the circuit to open")
        breakers = there.callbacks.components[-1]
        assert isinstance(breakers, Breakers)
        await breakers.sync()
        for scene_of in (there, other):
            _, shown = await scene_of.ask("GET", path)
            rest = datetime.fromisoformat(shown["rests_until"])
            assert timedelta(seconds=50) < rest - datetime.now(UTC) < timedelta(seconds=62)
            assert (await scene_of.ask("GET", "/api/callbacks"))[1]["data"][0]["rests_until"]
            early = rest - timedelta(seconds=1)  # each answer reckons from its own moment
            assert all(datetime.fromisoformat(one["next_attempt_at"]) > early for one in await scene_of.log(made))
        posts = len(there.receiver.at("/ill"))
        untouched = next(one for one in await there.log(made, "?limit=500") if one["failures"] == 0)
        retry = f"{path}/deliveries/{untouched['id']}/retry"
        status, _ = await there.ask("POST", retry)
        assert status == 200
        await until(lambda: len(there.receiver.at("/ill")) == posts + 1, "the retry to be a probe at once")
        assert there.receiver.got[-1].headers["webhook-id"] == untouched["update_id"]

        async def failed() -> bool:
            _, delivery = await there.ask("GET", f"{path}/deliveries/{untouched['id']}")
            return bool(delivery["failures"] == 1)

        await until(failed, "its failure to be written down")
        assert await rests(), "one that failed lets nothing through"
        there.receiver.answers.clear()
        assert (await there.ask("POST", retry))[0] == 200

        async def all_due_delivered() -> bool:
            await breakers.sync()
            return all(one["state"] == "delivered" or one["failures"] for one in await there.log(made, "?limit=500"))

        await until(all_due_delivered, "all that is due to go as soon as one is answered")
        _, shown = await there.ask("GET", path)
        assert "rests_until" not in shown
        assert "failing_since" not in shown


@pytest.mark.parametrize("means", ["test", "url"])
async def test_a_test_that_succeeds_and_a_new_address_end_the_rest(means: str, database: Database) -> None:
    async with scene(database) as there:
        there.receiver.answers["/ill"] = with_status(503, Retry_After="3600")
        made = await there.make("/ill")
        path = f"/api/callbacks/{made['id']}"
        await there.tell_many(20)
        await there.until_failures(1)

        async def rests() -> bool:
            _, shown = await there.ask("GET", path)
            return "rests_until" in shown

        await until(rests, "the rest to be written down")
        _, shown = await there.ask("GET", path)
        assert datetime.fromisoformat(shown["rests_until"]) > datetime.now(UTC) + timedelta(minutes=50)
        there.receiver.answers.clear()
        if means == "test":
            _, answer = await there.ask("POST", f"{path}/test")
            assert answer["delivered"]
        else:
            await there.ask("PATCH", path, {"url": f"{there.receiver_url}/well"})

        async def all_due_delivered() -> bool:
            return all(one["state"] == "delivered" or one["failures"] for one in await there.log(made, "?limit=500"))

        await until(all_due_delivered, "all that is due to go")
        _, shown = await there.ask("GET", path)
        assert "rests_until" not in shown


async def test_what_is_asked_of_a_silent_server_by_hand_takes_one_place(database: Database) -> None:
    async with scene(database, concurrency=8) as there:
        release = asyncio.Event()

        async def silent(_: web.Request) -> web.StreamResponse:
            await release.wait()
            return web.Response(status=500)

        there.receiver.answers["/silent"] = with_status(500)
        made = await there.make("/silent")
        await there.tell_many(20)
        await there.until_failures(POLICY.threshold)
        there.receiver.answers["/silent"] = silent
        posts = len(there.receiver.got)
        for one in await there.log(made):
            await there.ask("POST", f"/api/callbacks/{made['id']}/deliveries/{one['id']}/retry")
        await there.make("/alive", events=["message.read"])
        await there.tell(*(there.update(1_000 + n, type="message.read") for n in range(30)))
        await until(lambda: len(there.receiver.at("/alive")) == 30, "the sound one to be told all")
        assert len(there.receiver.at("/silent")) == posts + 1
        release.set()


def test_who_keeps_each_post_waiting_for_all_of_its_time_is_left_alone_too() -> None:
    circuit, posts = Machine(POLICY), 0
    while circuit.state(now := round(posts * TOTAL_SECONDS * 1_000)) is State.CLOSED:
        posts += 1
        circuit.count(0, 1, now + round(TOTAL_SECONDS * 1_000))
    assert posts <= 5


async def test_what_it_is_told_of_is_posted_without_a_look_at_all_callbacks(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where thousands wait for their next attempt, looking at all of them is what takes the longest."""
    monkeypatch.setattr(crew, "POLL_SECONDS", 1e6)
    monkeypatch.setattr(crew, "LOOK_REST", 1e9)
    async with scene(database) as there:
        one, other = await there.make("/one"), await there.make("/other")
        there.callbacks.crew.wake()
        for number in range(60):
            await there.tell(there.update(number))
        await there.until_states(delivered=120)
        (delivery, *_) = await there.log(other)
        status, _ = await there.ask("POST", f"/api/callbacks/{other['id']}/deliveries/{delivery['id']}/retry")
        assert status == 200
        await until(lambda: len(there.receiver.at("/other")) == 61, "the retry")
        assert len(there.receiver.at("/one")) == len(await there.log(one, "?limit=500")) == 60
