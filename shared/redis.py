"""The connections to Redis or Valkey of a service that can do without it for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from shared.config import RedisSettings


@asynccontextmanager
async def open_redis(settings: RedisSettings) -> AsyncIterator[Redis]:
    """Connects when it is asked something, not now. It answers or fails soon, and never retries: whoever asks has another way."""
    redis = Redis.from_pool(
        BlockingConnectionPool.from_url(
            settings.url,
            socket_timeout=0.2,
            socket_connect_timeout=0.5,
            retry=Retry(NoBackoff(), 0),
            max_connections=20,
            timeout=0.5,
        )
    )
    try:
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def open_waiting_redis(settings: RedisSettings, seconds: float) -> AsyncIterator[Redis]:
    """As `open_redis`, for questions that wait up to `seconds` for something new."""
    redis = Redis.from_url(
        settings.url,
        socket_timeout=seconds + 2.0,
        socket_connect_timeout=0.5,
        retry=Retry(NoBackoff(), 0),
        max_connections=4,
    )
    try:
        yield redis
    finally:
        await redis.aclose()
