"""The limiter on a real server, on the server's own clock."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.crc import key_slot

from local.valkey import Valkey
from shared.clock import SystemClock
from shared.limits.grouped import Call
from shared.limits.limiter import Ask, Limit, Line, UserLimit, Window
from shared.limits.rate import Rate
from shared.limits.redis import RedisLimiter
from tests.support.limits import granted, refused

NUMBERS = [Line(f"pn:{n}", Rate(50, burst=5)) for n in range(3)]


def everything(line: Line, recipient: str, tier: int = 2) -> Ask:
    """With every kind of limit."""
    return Ask(
        tier,
        (
            Limit(line.group, f"pair:{recipient}", Rate(1 / 6, burst=45), "limit.pair", shared=False),
            Limit(line.group, "hour", Rate.within(5000, 3600, burst=100), "limit.hour"),
            Limit("tn:1", "rate", Rate(1000, burst=100), "limit.tenant"),
            Limit("*", "rate", Rate(5000, burst=500), "limit.global"),
        ),
        UserLimit("pf:1", 1000, recipient, f"{line.group}:{recipient}", "limit.users"),
    )


async def use_everything(limiter: RedisLimiter) -> None:
    closed = Limit("closed", "rate", Rate(0.01), "limit.closed")
    for _ in range(2):
        await limiter.reserve(
            [ask._replace(limits=(*ask.limits, closed)) for line in NUMBERS for ask in [everything(line, "ab12")] * 60]
        )
    await limiter.slots(dict.fromkeys(NUMBERS, 3), horizon_seconds=1)
    await limiter.debit(dict.fromkeys(NUMBERS, 2), [Window("pf:1", "w")])
    await limiter.rest_pair(everything(NUMBERS[0], "ab12").limits[0])
    await limiter.slow(dict.fromkeys(NUMBERS, 0.7))
    await limiter.rates(NUMBERS)
    await limiter.standing({line: everything(line, "ab12").limits[1:2] for line in NUMBERS})


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_url) as redis:
        yield redis


class Watched(RedisLimiter):
    """Remembers what it called."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(redis, SystemClock())
        self.calls: list[Call] = []

    async def _run(self, calls: Sequence[Call]) -> list[list[int]]:
        self.calls += calls
        return await super()._run(calls)


async def test_all_keys_of_a_call_are_of_one_slot(redis: Redis) -> None:
    limiter = Watched(redis)
    await use_everything(limiter)
    assert {call.script for call in limiter.calls} == {"ask", "give_back", "slots", "debit", "open", "slow", "look", "rest"}
    for call in limiter.calls:
        assert len({key_slot(key.encode()) for key in call.keys}) == 1
    assert limiter.is_shared


async def test_a_server_in_cluster_mode_takes_every_script(tmp_path: Path) -> None:
    """It refuses keys of two slots, and keys that were not named."""
    folder = tmp_path / "valkey"
    folder.mkdir()
    folder.chmod(0o777)  # where the tests are run by root the server is another, and a cluster's node keeps a file
    server = Valkey(folder, options={"cluster-enabled": "yes"})
    server.start()
    try:
        async with Redis.from_url(server.url) as redis:
            await redis.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            async with asyncio.timeout(60):
                while b"cluster_state:ok" not in await redis.execute_command("CLUSTER", "INFO"):
                    await asyncio.sleep(0.01)
            limiter = RedisLimiter(redis, SystemClock())
            await use_everything(limiter)
            assert limiter.is_shared
    finally:
        server.stop()


async def test_every_key_goes_by_itself(redis: Redis) -> None:
    limiter = RedisLimiter(redis, SystemClock())
    await use_everything(limiter)
    keys = await redis.keys("*")
    assert len(keys) >= 15
    for key in keys:
        assert 0 < await redis.pttl(key) <= 24 * 3_600_000 + 1000, key
    line = Line("pn:9", Rate(1))
    await limiter.slots({line: 5}, horizon_seconds=10)
    assert 0 < await redis.pttl("{pn:9}:pace") <= 5_001, "no longer than it says anything"
    pair = Limit("pn:9", "pair:a", Rate(1), "limit.pair")
    await limiter.reserve([Ask(0, (pair,))] * 100)
    assert 95_000 < await redis.pttl("{pn:9}:pair:a") <= 100_001, "as long as somebody has a place in line"


async def test_a_batch_is_one_pipeline_of_one_call_a_group(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    limiter = Watched(redis)
    asks = [everything(line, f"{n:x}", tier=0) for line in NUMBERS for n in range(10)]
    await limiter.reserve(asks)  # teaches the server the scripts
    limiter.calls.clear()
    executed, execute = list[int](), Pipeline.execute

    async def counted(pipeline: Pipeline, **options: bool) -> list[object]:
        executed.append(len(pipeline))
        return await execute(pipeline, **options)

    monkeypatch.setattr(Pipeline, "execute", counted)
    monkeypatch.setattr(Redis, "execute_command", None)
    assert granted(await limiter.reserve(asks)) == 30
    assert executed == [len({call.keys[-1] for call in limiter.calls})] == [6]


async def test_a_server_that_forgets_its_scripts_is_taught_again(redis: Redis) -> None:
    limiter = RedisLimiter(redis, SystemClock())
    pair = Limit("pn:0", "pair:a", Rate(1 / 6, burst=4), "limit.pair", shared=False)
    for expected in (2, 2, 0):
        answer = await limiter.reserve([Ask(0, (pair,))] * 2)
        assert granted(answer) == expected, "nothing is counted twice"
        await redis.script_flush()
    assert limiter.is_shared


async def test_on_the_servers_clock_the_spacing_is_the_rates(redis: Redis) -> None:
    limiter = RedisLimiter(redis, SystemClock())
    line = Line("pn:1", Rate(10, burst=3))
    first = (await limiter.slots({line: 1000}, horizon_seconds=60))["pn:1"]
    assert first.waits_seconds == pytest.approx([0, 0, 0, *(0.1 * n for n in range(1, 601))])
    again = (await limiter.slots({line: 5}, horizon_seconds=1))["pn:1"]
    assert again.waits_seconds == []
    assert 50 < again.retry_seconds <= first.retry_seconds


async def test_what_many_replicas_ask_at_once_is_shared_among_them(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as one, Redis.from_url(redis_url) as other:
        replicas = [RedisLimiter(redis, SystemClock()) for redis in (one, other)]
        line = NUMBERS[0]
        pair = Limit(line.group, "pair:a", Rate(0.01, burst=45), "limit.pair", shared=False)
        answers = await asyncio.gather(*(replicas[n % 2].reserve([Ask(2, (pair,))] * 10) for n in range(12)))
        assert sum(map(granted, answers)) == 45
        places = [verdict.retry_seconds for answer in answers for verdict in refused(answer)]
        assert len(places) == 75
        slow = Line(line.group, Rate(1))
        shares = await asyncio.gather(*(replicas[n % 2].slots({slow: 10}, horizon_seconds=150) for n in range(12)))
        waits = sorted(wait for share in shares for wait in share[slow.group].waits_seconds)
        assert len(waits) == 120
        assert 100 < waits[-1] <= 119, "one a second, whoever asks"


async def test_a_slowed_number_is_slow_for_all_replicas(redis_url: str) -> None:
    async with Redis.from_url(redis_url) as one, Redis.from_url(redis_url) as other:
        await RedisLimiter(one, SystemClock()).slow({NUMBERS[0]: 0.5})
        assert (await RedisLimiter(other, SystemClock()).rates(NUMBERS[:2]))["pn:0"] < 0.9
        assert (await RedisLimiter(other, SystemClock()).rates(NUMBERS[:2]))["pn:1"] == 1


async def test_a_large_batch_of_one_group_is_answered(redis: Redis) -> None:
    limiter = RedisLimiter(redis, SystemClock())
    names = [f"pair:{random.randrange(10**9)}-{n}" for n in range(3_000)]  # noqa: S311  # names, no secrets
    asks = [Ask(2, (Limit("pn:1", name, Rate(1), "limit.pair", shared=False),)) for name in names]
    assert granted(await limiter.reserve(asks)) == 3_000
    assert granted(await limiter.reserve(asks)) <= 3_000
    assert limiter.is_shared
