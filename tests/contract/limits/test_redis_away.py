"""Redis away: each limit does what its docstring says, nothing raises, and it is shared again by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from local.ports import free_port
from local.valkey import Valkey
from shared.clock import SystemClock
from shared.limits.grouped import Call
from shared.limits.limiter import Ask, Limit, Line, Refused, UserLimit, Window
from shared.limits.rate import Rate
from shared.limits.redis import LOCAL_SECONDS, RedisLimiter
from tests.support.limits import StandingClock, granted

LINE = Line("pn:1", Rate(100, burst=5))
PAIR = Limit("pn:1", "pair:a", Rate(1 / 6, burst=45), "limit.pair", shared=False)
TENANT = Limit("tn:1", "rate", Rate(10, burst=10), "limit.tenant")


def client(url: str) -> Redis:
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=20, socket_connect_timeout=20)


def dead() -> Redis:
    return client(f"redis://127.0.0.1:{free_port()}/0")


async def test_limits_by_rate_go_on_with_the_local_share_and_never_open() -> None:
    clock = StandingClock()
    async with dead() as redis:
        limiter = RedisLimiter(redis, clock, local_share=0.5)
        passed = slots = 0
        for _ in range(50):
            answer = await limiter.reserve([Ask(0, (TENANT,))] * 30)
            assert all(verdict.code == "limit.tenant" for verdict in answer if isinstance(verdict, Refused))
            passed += granted(answer)
            slots += len((await limiter.slots({LINE: 1000}, horizon_seconds=0.1))["pn:1"].waits_seconds)
            clock.advance(0.1)
        assert passed == pytest.approx(5 * 10 * 0.5, abs=1)
        assert slots == pytest.approx(5 * 100 * 0.5, abs=10)
        assert not limiter.is_shared


async def test_users_are_shut_and_come_again_soon() -> None:
    async with dead() as redis:
        limiter = RedisLimiter(redis, StandingClock())
        await limiter.debit({LINE: 3}, [Window("pf:1", "w")])
        users = UserLimit("pf:1", 1000, "u", "w", "limit.users")
        answer = await limiter.reserve([Ask(0, (PAIR,), users)])
        assert answer == [Refused("limit.users", 5.0)]
        assert granted(await limiter.reserve([Ask(0, (PAIR,))])) == 1, "its pair was not used up"


async def test_a_pair_rests_and_a_number_is_slowed_in_this_process() -> None:
    async with dead() as redis:
        limiter = RedisLimiter(redis, StandingClock())
        assert await limiter.rest_pair(PAIR) == 1
        assert await limiter.reserve([Ask(0, (PAIR,))]) == [Refused("limit.pair", 1.0)]
        await limiter.slow({LINE: 0.7})
        assert (await limiter.rates([LINE]))["pn:1"] == pytest.approx(0.35, rel=0.01)


class Failing(RedisLimiter):
    """Its server is away while `is_away`."""

    is_away = False
    tries = 0

    async def _execute(self, calls: Sequence[Call]) -> list[list[int]]:
        self.tries += 1
        if self.is_away:
            await asyncio.sleep(0)
            raise RedisConnectionError
        return await super()._execute(calls)


async def until_shared(limiter: RedisLimiter) -> None:
    async with asyncio.timeout(60):
        while not limiter.is_shared:
            await limiter.slots({LINE: 1}, horizon_seconds=1)
            await asyncio.sleep(0.01)


async def test_after_a_failure_it_is_local_for_a_while_and_one_call_at_a_time_tries(redis_url: str) -> None:
    time = asyncio.get_running_loop().time
    async with client(redis_url) as redis:
        limiter = Failing(redis, SystemClock())
        limiter.is_away = True
        with capture_logs() as logs:
            began = time()
            await asyncio.gather(*(limiter.slots({LINE: 1}, horizon_seconds=1) for _ in range(20)))
            assert limiter.tries == 20, "those that were under way"
            await limiter.slots({LINE: 1}, horizon_seconds=1)
            assert limiter.tries == 20
            async with asyncio.timeout(60):
                while limiter.tries == 20:
                    await asyncio.gather(*(limiter.slots({LINE: 1}, horizon_seconds=1) for _ in range(20)))
                    await asyncio.sleep(0.01)
            assert limiter.tries == 21, "one of twenty"
            assert time() - began >= LOCAL_SECONDS
            limiter.is_away = False
            await until_shared(limiter)
            assert time() - began >= 2 * LOCAL_SECONDS
            assert [entry["event"] for entry in logs] == ["limits.redis_away", "limits.redis_back"], "each once"
            limiter.is_away = True
            await limiter.slots({LINE: 1}, horizon_seconds=1)
            assert [entry["event"] for entry in logs][2:] == ["limits.redis_away"], "the next outage"


async def test_a_killed_server_is_missed_and_found_again(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey")
    server.start()
    try:
        async with client(server.url) as redis:
            limiter = RedisLimiter(redis, SystemClock())
            await limiter.reserve([Ask(0, (PAIR, TENANT))])
            assert limiter.is_shared
            server.kill()
            answer = await limiter.reserve([Ask(0, (PAIR, TENANT))] * 20)
            assert granted(answer) == 1
            assert not limiter.is_shared
            server.start()
            await until_shared(limiter)
            answer = await limiter.reserve([Ask(0, (PAIR, TENANT))] * 20)
            assert granted(answer) == 10
            assert limiter.is_shared
    finally:
        server.stop()


async def test_a_server_that_is_full_is_as_good_as_away(tmp_path: Path) -> None:
    server = Valkey(tmp_path / "valkey", options={"maxmemory": "1"})
    server.start()
    try:
        async with client(server.url) as redis:
            limiter = RedisLimiter(redis, SystemClock())
            assert granted(await limiter.reserve([Ask(0, (PAIR,))] * 20)) == 1
            assert not limiter.is_shared
    finally:
        server.stop()
