"""Keep ready what is read most: the conversations that many look at, their first pages, whenever a change has made them stale."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.archive.cache import Reads
from shared.errors import Rejected
from shared.ids import TenantId

log = structlog.get_logger(__name__)

PAGES: Final = 3
REMEMBERED: Final = 10_000
"""Questions of an hour that are counted; the rarest go."""
COUNTED: Final = 1_000
"""Questions whose counts one process tells the others at a time."""
_HOUR_SECONDS: Final = 3_600

Ready = Callable[[TenantId, str], Awaitable[None]]
"""Reads the pages that a question (path and query) begins, so that they are kept. Raises `Rejected` where they cannot be read."""


class Warmer:
    """What is popular is counted in Redis, by the hour, so that a process that has just started knows it too."""

    def __init__(self, redis: Redis, reads: Reads, ready: Ready, how_many: int) -> None:
        self._redis = redis
        self._reads = reads
        self._ready = ready
        self._how_many = how_many

    async def warm(self) -> None:
        """Count what was read since the last time, and read what is popular. While Redis is away nothing is kept, nor done."""
        counted, self._reads.popular = self._reads.popular, Counter()
        if not self._how_many:
            return
        try:
            popular = await self._popular(dict(counted.most_common(COUNTED)))
        except (RedisError, OSError):
            return
        for question in popular:
            tenant, _, path = question.partition(" ")
            try:
                await self._ready(TenantId(tenant), path)
            except (Rejected, ValueError):
                continue  # it is gone, or was asked of another version of ours

    async def _popular(self, counted: dict[str, int]) -> list[str]:
        """Of this hour and the one before."""
        hour = int(time.time()) // _HOUR_SECONDS
        pipeline = self._redis.pipeline(transaction=False)
        for question, count in counted.items():
            pipeline.zincrby(_key(hour), count, question)
        pipeline.zremrangebyrank(_key(hour), 0, -REMEMBERED - 1)
        pipeline.expire(_key(hour), 2 * _HOUR_SECONDS)
        for each in (hour, hour - 1):
            pipeline.zrevrange(_key(each), 0, self._how_many - 1, withscores=True)
        found: list[Any] = await pipeline.execute()
        times = Counter[str]()
        for question, score in (*found[-2], *found[-1]):
            times[question.decode()] += score
        return [question for question, _ in times.most_common(self._how_many)]


def _key(hour: int) -> str:
    return f"archive:popular:{hour}"
