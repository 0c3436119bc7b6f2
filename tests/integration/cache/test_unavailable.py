"""A Redis that refuses for a while, as redis-py tells it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from shared.unavailable import is_unavailable


async def by_command(redis: Redis) -> None:
    await redis.set("key", "value")


async def by_pipeline(redis: Redis) -> None:
    await redis.pipeline(transaction=False).set("key", "value").execute()


async def by_transaction(redis: Redis) -> None:
    await redis.pipeline(transaction=True).set("key", "value").execute()


@pytest.mark.parametrize("write", [by_command, by_pipeline, by_transaction])
async def test_a_server_whose_replicas_are_gone_is_away(redis_url: str, write: Callable[[Redis], Awaitable[None]]) -> None:
    async with Redis.from_url(redis_url) as redis:
        await redis.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(ResponseError, match="NOREPLICAS") as caught:
                await write(redis)
        finally:
            await redis.config_set("min-replicas-to-write", 0)
    assert is_unavailable(caught.value)
