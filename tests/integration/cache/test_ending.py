"""What still wants something of Redis when its connections are closed leaves none open."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.config import RedisSettings
from shared.redis import open_redis, open_waiting_redis


@pytest.mark.parametrize("waits", [False, True])
async def test_closed_connections_are_not_opened_again(redis_url: str, waits: bool) -> None:
    settings = RedisSettings(url=redis_url)
    async with open_waiting_redis(settings, 1.0) if waits else open_redis(settings) as redis:
        assert await redis.ping()
    with pytest.raises(RedisError):
        await redis.ping()


@pytest.mark.parametrize("waits", [False, True])
async def test_what_is_connecting_while_they_are_closed_closes_itself(redis_url: str, waits: bool) -> None:
    settings = RedisSettings(url=redis_url)
    for steps in range(12):
        opened = open_waiting_redis(settings, 1.0) if waits else open_redis(settings)
        async with asyncio.TaskGroup() as group, opened as redis:
            group.create_task(_ask(redis))
            for _ in range(steps):  # so far has it come
                await asyncio.sleep(0)
        assert not any(one.is_connected for one in redis.connection_pool._available_connections)
        assert not redis.connection_pool._in_use_connections


async def _ask(redis: Redis) -> None:
    with suppress(RedisError):
        await redis.ping()
