"""Pacing: at which moment each of many messages may leave, for all replicas together, in one round trip for a whole batch.

A departure is *reserved*: the answer is a wait, not a yes or no, so nobody polls and no slot of the allowed rate is left unused.
What would have to wait beyond the horizon is not granted and should be put down until the time given.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, cast

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.clock import Clock

log = structlog.get_logger(__name__)

_SCRIPT: Final = Path(__file__).with_name("reserve.lua").read_text(encoding="utf-8")
LOCAL_SHARE: Final = 0.5
"""Part of the rate that a process takes for itself while Redis is away: less than all, never none."""
LOCAL_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Rate:
    """`per_second` departures on average, `burst` (1 or more) of them at once after a rest."""

    per_second: float
    burst: float = 1

    @property
    def step_us(self) -> int:
        return max(1, math.ceil(1_000_000 / self.per_second))

    @property
    def ahead_us(self) -> int:
        """How far departures may run ahead of the even pace: the first of a burst is on time."""
        return round(self.step_us * (self.burst - 1))


@dataclass(frozen=True, slots=True)
class Grant:
    """`waits_seconds` holds the wait of each granted departure, in order; the others may ask again `retry_seconds` from now."""

    waits_seconds: Sequence[float]
    retry_seconds: float


class Pacing(Protocol):
    async def reserve(self, wanted: Mapping[str, tuple[Rate, int]], horizon_seconds: float) -> dict[str, Grant]:
        """For each key its rate and how many departures are wanted; what is granted, none later than the horizon."""
        ...


class LocalPacing:
    """The same arithmetic in one process; the model that the Lua is tested against, and the stand-in while Redis is away."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._arrivals: dict[str, float] = {}

    async def reserve(self, wanted: Mapping[str, tuple[Rate, int]], horizon_seconds: float) -> dict[str, Grant]:
        now = self._clock.monotonic() * 1_000_000
        return {key: self._reserve(key, rate, count, horizon_seconds, now) for key, (rate, count) in wanted.items()}

    def _reserve(self, key: str, rate: Rate, count: int, horizon_seconds: float, now: float) -> Grant:
        step, ahead = rate.step_us, rate.ahead_us
        arrival = max(now, self._arrivals.get(key, now))
        first = arrival - now - ahead
        granted = max(0, min(count, math.floor((horizon_seconds * 1_000_000 - first) / step) + 1))
        self._arrivals[key] = arrival + granted * step
        return _grant(granted, first, self._arrivals[key] - now - ahead, step)


class RedisPacing:
    """Pacing shared by all replicas, on the server's clock.

    Where Redis is away each process paces itself at half the rate, for at least a second, so that a Redis that comes and goes does
    not grant its whole rate in between: with two replicas the sum stays within the limit, with more it may pass it until Redis is
    back. It never opens.
    """

    def __init__(self, redis: Redis, fallback: LocalPacing) -> None:
        self._script = redis.register_script(_SCRIPT)
        self._redis = redis
        self._fallback = fallback
        self._local_until = 0.0

    async def reserve(self, wanted: Mapping[str, tuple[Rate, int]], horizon_seconds: float) -> dict[str, Grant]:
        if asyncio.get_running_loop().time() < self._local_until:
            return await self._reserve_locally(wanted, horizon_seconds)
        pipeline = self._redis.pipeline(transaction=False)
        for key, (rate, count) in wanted.items():
            arguments = (rate.step_us, rate.ahead_us, count, round(horizon_seconds * 1_000_000))
            await self._script(keys=[f"{{{key}}}:pace"], args=arguments, client=pipeline)
        try:
            answers = cast("list[list[int]]", await pipeline.execute())
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("pacing.redis_unavailable", error=type(error).__name__)
            self._local_until = asyncio.get_running_loop().time() + LOCAL_SECONDS
            return await self._reserve_locally(wanted, horizon_seconds)
        return {
            key: _grant(granted, first, after, rate.step_us)
            for (key, (rate, _)), (granted, first, after) in zip(wanted.items(), answers, strict=True)
        }

    async def _reserve_locally(self, wanted: Mapping[str, tuple[Rate, int]], horizon_seconds: float) -> dict[str, Grant]:
        slower = {key: (Rate(rate.per_second * LOCAL_SHARE, rate.burst), n) for key, (rate, n) in wanted.items()}
        return await self._fallback.reserve(slower, horizon_seconds)


def _grant(granted: int, first_us: float, after_us: float, step_us: int) -> Grant:
    waits = [max(0.0, (first_us + step_us * n) / 1_000_000) for n in range(granted)]
    return Grant(waits, max(0.0, after_us / 1_000_000))
