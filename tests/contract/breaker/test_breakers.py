"""Replicas around a real server: what one learns the others know, and a server that dies changes nobody's mind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from structlog.testing import capture_logs

from local.valkey import Valkey
from shared.clock import SystemClock
from shared.limits.breaker import BreakerPolicy, State
from shared.limits.breakers import IDLE_SECONDS, Breakers
from tests.support.circuits import StandingClock
from tests.support.proxy import Proxy

POLICY = BreakerPolicy()
KEY = "pn:106540352242922"
HOST = "host:https://graph.facebook.com"


def client(url: str, patience_seconds: float = 20) -> Redis:
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=patience_seconds, socket_connect_timeout=patience_seconds
    )


@asynccontextmanager
async def fleet(url: str, clock: StandingClock, count: int = 3, patience_seconds: float = 20) -> AsyncIterator[list[Breakers]]:
    """Replicas and the server on one clock, which stands still until told."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(client(url, patience_seconds)) for _ in range(count)]
        yield [Breakers(redis, POLICY, clock, now_ms=lambda: clock.ms) for redis in clients]


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    """A server of the test's own, to be killed."""
    server = Valkey(tmp_path / "valkey")
    server.start()
    try:
        yield server
    finally:
        server.stop()


async def sync(*replicas: Breakers) -> None:
    for replica in replicas:
        await replica.sync()


def fail(replica: Breakers, times: int = POLICY.threshold, key: str = KEY) -> None:
    for _ in range(times):
        replica.note(key, False)


async def open_everywhere(replicas: list[Breakers]) -> None:
    fail(replicas[0])
    for replica in replicas:
        replica.wait(KEY)
    await sync(*replicas)
    assert [replica.wait(KEY) for replica in replicas] == [POLICY.open_seconds] * len(replicas)


async def admitted(replicas: list[Breakers], each: int = 10) -> list[Breakers]:
    """Everybody wants to call at once; who may."""
    wanting = replicas * each
    given = await asyncio.gather(*(replica.admit(KEY) for replica in wanting))
    return [replica for replica, yes in zip(wanting, given, strict=True) if yes]


async def test_what_one_has_seen_the_others_know_after_a_sync(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock) as (one, other, third):
        for replica in (one, other, third):
            assert replica.wait(KEY) == 0
        fail(one)
        assert one.wait(KEY) == POLICY.open_seconds, "at once, on its own evidence"
        assert other.wait(KEY) == 0
        await sync(one, other, third)
        clock.advance(1)
        assert [replica.wait(KEY) for replica in (one, other, third)] == [POLICY.open_seconds - 1] * 3
        assert not await other.admit(KEY)
        assert third.states() == {KEY: State.OPEN}


async def test_failures_seen_by_several_add_up(redis_url: str) -> None:
    async with fleet(redis_url, StandingClock()) as replicas:
        for replica in replicas:
            fail(replica, 2)
        await sync(*replicas, *replicas)
        assert {replica.wait(KEY) for replica in replicas} == {POLICY.open_seconds}


async def test_other_keys_are_other_circuits(redis_url: str) -> None:
    async with fleet(redis_url, StandingClock()) as (one, other, _):
        fail(one, key=KEY)
        other.wait(HOST)
        await sync(one, other)
        assert one.wait(HOST) == other.wait(HOST) == 0


async def test_one_broken_way_to_the_provider_stops_only_its_own_process(redis_url: str) -> None:
    async with fleet(redis_url, StandingClock()) as (broken, other, third):
        for _ in range(10):
            other.note(KEY, True)
        await sync(other)
        fail(broken)
        await sync(broken, other, third)
        assert broken.wait(KEY) == POLICY.open_seconds
        assert other.wait(KEY) == third.wait(KEY) == 0


async def test_half_open_all_replicas_together_make_one_probe_then_five(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock) as replicas:
        await open_everywhere(replicas)
        clock.advance(POLICY.open_seconds)
        for stage in POLICY.probes:
            assert all(replica.is_probing(KEY) for replica in replicas)
            probing = await admitted(replicas)
            assert len(probing) == stage
            await sync(*replicas)
            assert all(replica.wait(KEY) > 0 for replica in replicas), "no more can be had now"
            for replica in probing:
                replica.note(KEY, True)
            await sync(*replicas, *replicas)
        assert {replica.wait(KEY) for replica in replicas} == {0.0}
        assert {replica.states()[KEY] for replica in replicas} == {State.CLOSED}
        assert len(await admitted(replicas)) == len(replicas) * 10


async def test_one_failed_probe_opens_it_again_for_all(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock) as replicas:
        await open_everywhere(replicas)
        clock.advance(POLICY.open_seconds)
        (first,) = await admitted(replicas)
        first.note(KEY, True)
        await sync(*replicas)
        probing = await admitted(replicas)
        for replica in probing[1:]:
            replica.note(KEY, True)
        probing[0].note(KEY, False)
        await sync(*replicas, *replicas)
        assert {replica.wait(KEY) for replica in replicas} == {POLICY.open_seconds}


async def test_a_probe_whose_process_died_is_given_to_another(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock) as replicas:
        await open_everywhere(replicas)
        clock.advance(POLICY.open_seconds)
        (dead,) = await admitted(replicas)
        alive = [replica for replica in replicas if replica is not dead]
        clock.advance(POLICY.lease_seconds - 0.001)
        assert not await admitted(alive)
        clock.advance(0.001)
        (heir,) = await admitted(alive)
        dead.note(KEY, False)
        await sync(*replicas)
        assert heir.states()[KEY] is State.HALF_OPEN, "the late answer of the lost probe counts for nothing"
        heir.note(KEY, True)
        await sync(*alive)
        assert len(await admitted(alive)) == POLICY.probes[1]


async def test_a_probe_that_is_not_made_can_be_had_at_once(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock) as replicas:
        await open_everywhere(replicas)
        clock.advance(POLICY.open_seconds)
        (one,) = await admitted(replicas)
        one.give_up(KEY)
        await sync(one)
        assert len(await admitted(replicas)) == 1


async def test_a_newcomer_learns_what_is_open(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock) as (one, other, newcomer):
        await open_everywhere([one, other])
        assert newcomer.wait(KEY) == 0
        await sync(newcomer)
        assert newcomer.wait(KEY) == POLICY.open_seconds


async def test_what_changes_is_logged_once(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock, 1) as (one,):
        with capture_logs() as lines:
            fail(one)
            await sync(one, one)
            clock.advance(POLICY.open_seconds)
            await sync(one, one)
            for _ in range(sum(POLICY.probes)):
                assert await one.admit(KEY)
                one.note(KEY, True)
                await sync(one)
    assert lines == [
        {"event": "breaker.opened", "log_level": "warning", "key": KEY, "seconds": POLICY.open_seconds},
        {"event": "breaker.half_open", "log_level": "info", "key": KEY},
        {"event": "breaker.closed", "log_level": "info", "key": KEY},
    ]


async def test_a_key_nobody_asks_for_is_forgotten(redis_url: str) -> None:
    clock = StandingClock()
    async with fleet(redis_url, clock, 1) as (one,):
        one.wait(KEY)
        one.wait(HOST)
        await sync(one)
        clock.advance(IDLE_SECONDS - 1)
        one.wait(HOST)
        await sync(one)
        clock.advance(1)
        await sync(one)
        assert list(one.states()) == [HOST]


async def test_a_server_killed_and_restarted_neither_opens_nor_closes_anything(valkey: Valkey) -> None:
    clock = StandingClock()
    async with fleet(valkey.url, clock) as replicas:
        await open_everywhere(replicas)
        for replica in replicas:
            replica.note(HOST, True)
        valkey.kill()
        with capture_logs() as lines:
            await sync(*replicas, *replicas)
        assert [line["event"] for line in lines] == ["breakers.redis_unavailable"] * 3, "each says it once"
        clock.advance(10)
        assert [replica.wait(KEY) for replica in replicas] == [POLICY.open_seconds - 10] * 3
        assert [replica.wait(HOST) for replica in replicas] == [0] * 3
        valkey.start()
        with capture_logs() as lines:
            await sync(*replicas, *replicas)
        assert [line["event"] for line in lines] == ["breakers.redis_back"] * 3
        assert [replica.wait(KEY) for replica in replicas] == [POLICY.open_seconds - 10] * 3, "an empty server closes nothing"
        assert [replica.wait(HOST) for replica in replicas] == [0] * 3
        clock.advance(POLICY.open_seconds)
        for replica in replicas:
            for stage in POLICY.probes:
                assert len(await admitted([replica])) == stage, "each probes for itself"
                for _ in range(stage):
                    replica.note(KEY, True)
        await sync(*replicas)
        assert [replica.wait(KEY) for replica in replicas] == [0] * 3
        fail(replicas[0], key=HOST)
        await sync(*replicas)
        assert replicas[2].wait(HOST) == POLICY.open_seconds, "and they share again"


async def test_a_server_restarted_between_two_looks_closes_nothing(valkey: Valkey) -> None:
    clock = StandingClock()
    async with fleet(valkey.url, clock) as replicas:
        await open_everywhere(replicas)
        valkey.restart()
        await sync(*replicas, *replicas)
        assert [replica.wait(KEY) for replica in replicas] == [POLICY.open_seconds] * 3


async def test_without_a_server_a_process_judges_by_its_own_calls(valkey: Valkey) -> None:
    clock = StandingClock()
    async with fleet(valkey.url, clock, 2) as (one, other):
        valkey.kill()
        fail(one)
        await sync(one, other)
        assert one.wait(KEY) == POLICY.open_seconds
        assert other.wait(KEY) == 0
        clock.advance(POLICY.open_seconds)
        assert len(await admitted([one])) == POLICY.probes[0]
        one.note(KEY, False)
        assert one.wait(KEY) == POLICY.open_seconds


async def test_a_server_that_dies_at_the_asking_leaves_the_probe_to_the_process(valkey: Valkey) -> None:
    clock = StandingClock()
    async with fleet(valkey.url, clock) as replicas:
        await open_everywhere(replicas)
        clock.advance(POLICY.open_seconds)
        valkey.kill()
        assert len(await admitted(replicas[:1])) == POLICY.probes[0]


async def test_a_server_that_falls_silent_keeps_nobody_waiting_for_an_answer(redis_url: str) -> None:
    clock = StandingClock()
    async with Proxy.to(redis_url) as proxy, fleet(proxy.url, clock, 1, patience_seconds=1) as (one,):
        await sync(one)
        proxy.silent = True
        fail(one)
        assert one.wait(KEY) == POLICY.open_seconds
        async with asyncio.timeout(60):
            await sync(one)
        assert one.wait(KEY) == POLICY.open_seconds


async def test_as_a_component_they_agree_by_themselves(redis_url: str) -> None:
    """On the clocks of server and process, with the real interval."""
    stop = asyncio.Event()
    async with client(redis_url) as redis, client(redis_url) as another, asyncio.timeout(60):
        # Open for long enough to be heard of, on a machine that stands still at times too.
        clock, policy = SystemClock(), BreakerPolicy(open_seconds=3)
        one, other = Breakers(redis, policy, clock), Breakers(another, policy, clock)
        async with asyncio.TaskGroup() as group:
            running = [group.create_task(replica.run(stop)) for replica in (one, other)]
            assert other.wait(KEY) == 0
            fail(one)
            while not other.wait(KEY):
                await asyncio.sleep(0.01)
            while other.wait(KEY) or not await other.admit(KEY):
                await asyncio.sleep(0.01)
            other.note(KEY, True)
            answered = 0
            while one.states()[KEY] is not State.CLOSED or other.states()[KEY] is not State.CLOSED:
                if one.is_probing(KEY) and one.wait(KEY) == 0 and await one.admit(KEY):
                    one.note(KEY, True)
                    answered += 1
                await asyncio.sleep(0.01)
            assert answered >= POLICY.probes[1]
            stop.set()
            await asyncio.gather(*running)
