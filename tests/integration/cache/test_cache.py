"""The cache on a real Valkey: hits, one reading for many, nothing older than the last write, and a server that goes away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Final

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from local.ports import free_port
from shared import cache as module
from shared.cache import Cache, CacheCounts, key_of
from tests.support.proxy import Proxy

KEY: Final = key_of("groups", "tnt", "grp")


def client(url: str, patience_seconds: float = 20) -> Redis:
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=patience_seconds, socket_connect_timeout=patience_seconds
    )


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    async with client(redis_url) as redis:
        yield redis


@pytest.fixture
def cache(redis: Redis) -> Cache:
    return Cache(redis)


class Table:
    """One row. A reading takes its value and hands it over when the gate is open."""

    def __init__(self) -> None:
        self.value = 0
        self.readings = 0
        self.began = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self) -> bytes:
        self.readings += 1
        seen = self.value
        self.began.set()
        await self.gate.wait()
        return str(seen).encode()


async def until_waiting(cache: Cache, others: int) -> None:
    """So many wait for somebody's reading."""
    async with asyncio.timeout(60):
        while sum(len(reading._callbacks or ()) for reading in cache._reading.values()) < others:  # type: ignore[attr-defined]  # asyncio says it nowhere else
            await asyncio.sleep(0.001)


async def test_what_was_read_is_kept_for_its_time_and_no_longer(cache: Cache, redis: Redis) -> None:
    table = Table()
    assert [await cache.get_or_set(KEY, 300, table.read) for _ in range(3)] == [b"0"] * 3
    assert table.readings == 1
    assert 290 < await redis.ttl(KEY) <= 300
    assert cache.counts == CacheCounts(hits=2, misses=1, away=0)
    assert cache.counts.hit_ratio == pytest.approx(2 / 3)
    await redis.delete(KEY)
    assert await cache.get_or_set(KEY, 300, table.read) == b"0"
    assert table.readings == 2


async def test_nothing_is_not_kept(cache: Cache) -> None:
    found: list[bytes | None] = [None, b"there"]

    async def read() -> bytes | None:
        return found.pop(0)

    assert await cache.get_or_set(KEY, 300, read) is None
    assert await cache.get_or_set(KEY, 300, read) == b"there"
    assert await cache.get_or_set(KEY, 300, read) == b"there"


async def test_a_write_is_seen_by_the_next_read_of_every_process(cache: Cache, redis: Redis) -> None:
    table, other = Table(), Cache(redis)
    assert await other.get_or_set(KEY, 300, table.read) == b"0"
    table.value = 1
    await cache.invalidate(KEY)
    for process in (other, cache):
        assert await process.get_or_set(KEY, 300, table.read) == b"1"


async def test_what_was_read_before_a_write_is_not_kept_after_it(cache: Cache, redis: Redis) -> None:
    table, other = Table(), Cache(redis)
    table.gate.clear()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(other.get_or_set(KEY, 300, table.read))
        await table.began.wait()
        table.value = 1
        await cache.invalidate(KEY)
        table.gate.set()
    assert slow.result() == b"0"  # it began before the write
    assert await other.get_or_set(KEY, 300, table.read) == b"1"
    assert await cache.get_or_set(KEY, 300, table.read) == b"1"


async def test_who_comes_after_a_write_does_not_wait_for_a_reading_from_before_it(cache: Cache) -> None:
    table = Table()
    table.gate.clear()
    async with asyncio.TaskGroup() as group:
        early = group.create_task(cache.get_or_set(KEY, 300, table.read))
        await table.began.wait()
        table.value = 1
        await cache.invalidate(KEY)
        table.began.clear()
        late = group.create_task(cache.get_or_set(KEY, 300, table.read))
        await table.began.wait()
        table.gate.set()
    assert (early.result(), late.result()) == (b"0", b"1")
    assert await cache.get_or_set(KEY, 300, table.read) == b"1"


async def test_many_who_miss_at_once_read_once(cache: Cache) -> None:
    table = Table()
    table.gate.clear()
    async with asyncio.TaskGroup() as group:
        reads = [group.create_task(cache.get_or_set(KEY, 300, table.read)) for _ in range(50)]
        await until_waiting(cache, 49)
        table.gate.set()
    assert {read.result() for read in reads} == {b"0"}
    assert table.readings == 1


async def test_the_failure_of_a_reading_is_everybodys_and_is_not_kept(cache: Cache) -> None:
    async def fail() -> bytes:
        raise ZeroDivisionError

    answers = await asyncio.gather(*(cache.get_or_set(KEY, 300, fail) for _ in range(3)), return_exceptions=True)
    assert [type(answer) for answer in answers] == [ZeroDivisionError] * 3
    assert await cache.get_or_set(KEY, 300, Table().read) == b"0"


async def test_who_waits_for_a_reading_outlives_the_one_who_read(cache: Cache) -> None:
    table = Table()
    table.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(cache.get_or_set(KEY, 300, table.read))
        await table.began.wait()
        second = group.create_task(cache.get_or_set(KEY, 300, table.read))
        await until_waiting(cache, 1)
        first.cancel()
        table.gate.set()
    assert second.result() == b"0"
    assert table.readings == 2


async def test_no_read_that_begins_after_a_write_sees_what_was_before_it(redis: Redis) -> None:
    """Two processes, four keys, each read and write as slow as chance wants it."""
    chance = random.Random(7)  # noqa: S311  # the same test every time
    values = dict.fromkeys(map(str, range(4)), 0)
    told = dict(values)
    processes = Cache(redis), Cache(redis)
    stale: list[tuple[str, int, int]] = []

    async def read_one() -> None:
        key, process = chance.choice(list(values)), chance.choice(processes)
        before = told[key]

        async def load() -> bytes:
            seen = values[key]
            await asyncio.sleep(chance.random() * 0.002)
            return str(seen).encode()

        found = await process.get_or_set(key, 60, load)
        assert found is not None
        if int(found) < before:
            stale.append((key, int(found), before))

    async def write_one() -> None:
        key, process = chance.choice(list(values)), chance.choice(processes)
        values[key] += 1
        written = values[key]
        await asyncio.sleep(chance.random() * 0.001)
        await process.invalidate(key)
        told[key] = max(told[key], written)

    async def work(times: int) -> None:
        for _ in range(times):
            await (write_one() if chance.random() < 0.2 else read_one())

    await asyncio.gather(*(work(150) for _ in range(12)))
    assert not stale
    assert sum(process.counts.hits for process in processes) > 100


async def test_without_redis_everything_is_a_miss_and_nothing_an_error() -> None:
    table = Table()
    async with client(f"redis://127.0.0.1:{free_port()}/0") as redis:
        cache = Cache(redis)
        for value in range(3):
            table.value = value
            await cache.invalidate(KEY)
            assert await cache.get_or_set(KEY, 300, table.read) == str(value).encode()
    assert cache.counts == CacheCounts(hits=0, misses=3, away=3)


async def test_a_write_while_redis_was_away_is_made_up_for_when_it_is_back(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = Table()
    async with Proxy.to(redis_url) as proxy, client(proxy.url, patience_seconds=1) as redis:
        cache = Cache(redis)
        assert await cache.get_or_set(KEY, 300, table.read) == b"0"
        proxy.silent = True
        table.value = 1
        await cache.invalidate(KEY)
        assert await cache.get_or_set(KEY, 300, table.read) == b"1"
        proxy.silent = False
        async with asyncio.timeout(60):
            while True:  # each answer counts, until it comes from Redis again
                hits = cache.counts.hits
                assert await cache.get_or_set(KEY, 300, table.read) == b"1"
                if cache.counts.hits > hits:
                    break
                await asyncio.sleep(0.02)


async def test_an_entry_is_not_kept_for_ever(cache: Cache) -> None:
    for seconds in (0, module.LONGEST_SECONDS + 1):
        with pytest.raises(ValueError, match="an entry is kept"):
            await cache.get_or_set(KEY, seconds, Table().read)
