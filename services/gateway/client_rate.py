"""How many requests of one kind a client, an API key, may make a minute; over all replicas, by way of Redis."""

from __future__ import annotations

import math
from typing import Final

from aiohttp import web

from shared.errors import Rejected
from shared.http.routes import CLIENT_ID
from shared.limits.limiter import Ask, Granted, Limit, Limiter
from shared.limits.rate import Rate

MINUTE: Final = 60.0


class ClientRate:
    """A limit on `what`: a minute's worth at once after a rest, and then one as soon as its share of a minute is over.

    With Redis away every process counts for itself: nothing is refused for that reason alone.
    """

    def __init__(self, limiter: Limiter, what: str, per_minute: int) -> None:
        self._limiter = limiter
        self._what = what
        self._per_minute = per_minute
        self._rate = Rate(per_minute / MINUTE, per_minute)

    async def count(self, request: web.Request) -> None:
        """Count a request. Raises `Rejected` 429 where the client has none left; that one is not counted."""
        limit = Limit(f"client:{request[CLIENT_ID]}", self._what, self._rate, "client.rate_limited", shared=False)
        [verdict] = await self._limiter.reserve([Ask(0, (limit,))])
        if isinstance(verdict, Granted):
            return
        seconds = min(math.ceil(verdict.retry_seconds), int(MINUTE)) or 1
        raise Rejected(
            verdict.code,
            f"This API key may make {self._per_minute} such requests a minute; try again in {seconds} s.",
            429,
            retry_after_seconds=seconds,
            headers={
                # The fields of draft-ietf-httpapi-ratelimit-headers-10: the quota and its window; what is left, and until when.
                "RateLimit-Policy": f'"{self._what}";q={self._per_minute};w={int(MINUTE)}',
                "RateLimit": f'"{self._what}";r=0;t={seconds}',
            },
        )
