"""Users who write too much are marked, each for themselves, over all replicas."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from services.gateway.webhooks.inbound_rate import InboundRate
from shared.clock import SystemClock
from shared.config import RedisSettings
from shared.limits.redis import RedisLimiter
from shared.redis import open_redis
from tests.integration.gateway.serving import NO_REDIS

ONE, OTHER = ("num_1", "+15551234567"), ("num_1", "US.13491208655302741918")


@asynccontextmanager
async def rate(redis_url: str, per_minute: int = 20) -> AsyncIterator[tuple[InboundRate, Redis]]:
    async with open_redis(RedisSettings(url=redis_url)) as redis:
        yield InboundRate(RedisLimiter(redis, SystemClock(), local_share=None), b"secret", per_minute), redis


async def test_the_twenty_first_of_a_minute_is_over_it_and_others_are_not(redis_url: str) -> None:
    async with rate(redis_url) as (limit, _), rate(redis_url) as (of_another_replica, _):
        assert await limit.over([]) == []
        assert await limit.over([ONE] * 15 + [OTHER]) == [False] * 16
        assert await of_another_replica.over([ONE, OTHER] * 10) == [False, False] * 5 + [True, False] * 5
        assert await limit.over([("num_2", ONE[1])]) == [False], "to another number"


async def test_who_they_are_does_not_stand_in_the_store(redis_url: str) -> None:
    async with rate(redis_url) as (limit, redis):
        await limit.over([ONE, OTHER])
        keys = b" ".join(await redis.keys())
        assert keys
        assert b"5551234567" not in keys
        assert b"13491208655302741918" not in keys


async def test_without_redis_nobody_is_marked() -> None:
    async with rate(NO_REDIS, per_minute=1) as (limit, _):
        assert await limit.over([ONE] * 50) == [False] * 50
