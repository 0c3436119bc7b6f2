"""The limiter that all replicas share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from hashlib import sha1
from pathlib import Path
from typing import Final

import orjson
import structlog
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from shared.clock import Clock
from shared.limits.grouped import Call, GroupedLimiter
from shared.limits.local import LocalLimiter

log = structlog.get_logger(__name__)

LOCAL_SHARE: Final = 0.5
"""Part of every rate that a process takes for itself while Redis is away. One over the number of replicas keeps their sum within
the limits."""
LOCAL_SECONDS: Final = 1.0
"""At least so long, so that a Redis that comes and goes does not grant all it has in between."""


class _Script:
    def __init__(self, name: str) -> None:
        folder = Path(__file__).parent
        self.source: Final = "\n".join((folder / f"{part}.lua").read_text(encoding="utf-8") for part in ("prelude", name))
        self.sha: Final = sha1(self.source.encode(), usedforsecurity=False).hexdigest()


_SCRIPTS: Final = {name: _Script(name) for name in ("ask", "give_back", "slots", "debit", "open", "slow", "look", "rest")}


class RedisLimiter(GroupedLimiter):
    """On the server's clock, one round trip for each question; `reserve` takes a second one to give back what one group granted and
    another refused.

    Where Redis is away each process goes on alone (`LocalLimiter`), for at least a second, and asks again every second:

    - limits by rate (pairs, tiers, tenants, all, calls per hour) and a number's pace: `local_share` of each, nothing saved up at
      first; they never open;
    - users per day: shut, messages come again in five seconds;
    - customer service windows: none is opened or seen;
    - the rest of a pair and a slowed number are this process's own, and forgotten with the outage.
    """

    def __init__(
        self,
        redis: Redis,
        clock: Clock,
        *,
        local_share: float | None = LOCAL_SHARE,
        microseconds: Callable[[], int] | None = None,
    ) -> None:
        """`redis` should have short timeouts and not retry. `local_share` None gives each process the whole limits while Redis is
        away, bursts included: for limits that guard nobody but us. `microseconds` is for tests: it stands for the server's
        clock."""
        self._redis = redis
        self._clock = clock
        self._local_share = local_share
        self._microseconds = microseconds
        self._stand_in: LocalLimiter | None = None
        self._failed_at = self._local_until = 0.0

    @property
    def is_shared(self) -> bool:
        """False while Redis is away; for operators."""
        return self._stand_in is None

    async def _run(self, calls: Sequence[Call]) -> list[list[int]]:
        if not calls:
            return []
        began = asyncio.get_running_loop().time()
        if self._stand_in is not None:
            if began < self._local_until:
                return self._stand_in.run(calls)
            self._local_until = began + LOCAL_SECONDS  # one call tries, the others stay here meanwhile
        try:
            answers = await self._execute(calls)
        except (RedisError, OSError) as error:
            return self._away(error).run(calls)
        if self._stand_in is not None and began > self._failed_at:
            self._stand_in = None
            log.info("limits.redis_back")
        return answers

    def _away(self, error: Exception) -> LocalLimiter:
        self._failed_at = asyncio.get_running_loop().time()
        self._local_until = self._failed_at + LOCAL_SECONDS
        if self._stand_in is None:
            log.warning("limits.redis_away", error=type(error).__name__)
            self._stand_in = LocalLimiter(self._clock, stand_in_share=self._local_share)
        return self._stand_in

    async def _execute(self, calls: Sequence[Call]) -> list[list[int]]:
        answers = await self._pipeline(calls)
        untaught = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if untaught:
            for script in _SCRIPTS.values():
                await self._redis.script_load(script.source)
            for n, answer in zip(untaught, await self._pipeline([calls[n] for n in untaught]), strict=True):
                answers[n] = answer
        done: list[list[int]] = []
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
            done.append(answer)
        return done

    async def _pipeline(self, calls: Sequence[Call]) -> list[list[int] | Exception]:
        now = b"" if self._microseconds is None else str(self._microseconds()).encode()
        pipeline = self._redis.pipeline(transaction=False)
        for script, keys, request in calls:
            # Not `evalsha`: a cluster's pipeline has no such method.
            pipeline.execute_command("EVALSHA", _SCRIPTS[script].sha, len(keys), *keys, orjson.dumps(request), now)
        answers: list[list[int] | Exception] = await pipeline.execute(raise_on_error=False)
        return answers
