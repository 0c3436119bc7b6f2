"""What operators make caches forget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.cache import Cache
from shared.errors import Rejected
from shared.operations.payloads import Forget

_AT_ONCE: Final = 500

OfTenant = Callable[[str, Sequence[str]], Awaitable[Sequence[str]]]
"""Of these entries, those that hold something of a tenant."""


class Forgetting:
    """Deletes entries of one cache, all of which begin with `prefix`, as any writer would: who reads while it happens keeps nothing
    old. `afterwards` drops what this process keeps beside Redis."""

    def __init__(
        self, cache: Cache, redis: Redis, prefix: str, of_tenant: OfTenant, afterwards: Callable[[], None] = lambda: None
    ) -> None:
        self._cache = cache
        self._redis = redis
        self._prefix = prefix
        self._of_tenant = of_tenant
        self._afterwards = afterwards

    async def forget(self, what: Forget) -> int:
        """How many entries were deleted. Raises `Rejected` 503 while Redis is away."""
        start = self._prefix
        if what.prefix is not None:
            if not (what.prefix.startswith(start) or start.startswith(what.prefix)):
                return 0
            start = max(what.prefix, start, key=len)
        count = 0
        try:
            async for keys in self._found(start):
                gone = keys if what.tenant_id is None else await self._of_tenant(what.tenant_id, keys)
                if gone:
                    await self._cache.invalidate(*gone)
                    count += len(gone)
        except (RedisError, OSError):
            raise Rejected(
                "cache.away", "Redis does not answer; nothing is kept there meanwhile.", 503, retry_after_seconds=1
            ) from None
        self._afterwards()
        return count

    async def _found(self, start: str) -> Any:
        """Those there are, some at a time."""
        cursor: Any = 0
        while True:
            cursor, keys = await self._redis.scan(cursor, match=f"{start}*", count=_AT_ONCE)
            if keys:
                yield [key.decode() if isinstance(key, bytes) else key for key in keys]
            if not int(cursor):
                return
