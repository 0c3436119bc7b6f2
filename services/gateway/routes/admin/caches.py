"""Caches: what they save, and what they are to forget."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from aiohttp import web
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.gateway.operations.figures import Figures
from services.gateway.operations.others import AllServices
from services.gateway.operators import note
from services.gateway.payloads.operations import CacheForgotten, CacheReads, CacheStatistics, RedisState
from services.gateway.routes.admin.operation import operation
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import Route
from shared.operations.payloads import Forget
from shared.telemetry.catalogue import CACHE_READS_TOTAL

READ: Final = (CACHE_READS_TOTAL,)


class CacheRoutes:
    """The handlers, with what they need. `redis` is the gateway's."""

    def __init__(self, services: AllServices, redis: Redis, pool: Pool) -> None:
        self._services = services
        self._redis = redis
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            operation(
                "GET",
                "/admin/cache/stats",
                self.stats,
                "What the caches save",
                CacheStatistics,
                description="Of each cache of each service, and of the Redis behind them.",
            ),
            operation(
                "POST",
                "/admin/cache/invalidate",
                self.invalidate,
                "Let the caches forget",
                CacheForgotten,
                request=Forget,
                request_examples={
                    "tenant": {"tenant_id": "tnt_06a8b2c4d0e1f2g3h4i5j6k7l8"},
                    "prefix": {"prefix": "groups"},
                    "everything": {"all": True},
                },
                description="Readers ask the database again. Limits, sessions and streams, which are in Redis too, stay. What "
                "other processes keep beside Redis is at most a minute old.",
            ),
        ]

    async def stats(self, _: web.Request) -> web.StreamResponse:
        pages, redis = await asyncio.gather(self._services.metrics(), self._redis_state())
        caches = cache_reads(Figures(READ, pages.by_service))
        hits, misses = sum(cache.hits for cache in caches), sum(cache.misses for cache in caches)
        return json_response(
            CacheStatistics(
                hits=hits,
                misses=misses,
                hit_rate=hit_rate(hits, misses),
                caches=caches,
                redis=redis,
                unreachable=list(pages.unreachable),
            )
        )

    async def invalidate(self, request: web.Request) -> web.StreamResponse:
        what = await read_model(request, Forget)
        if (what.tenant_id is not None) + (what.prefix is not None) + what.all != 1:
            raise Rejected("request.invalid", "Name exactly one of tenant_id, prefix and all.", 422)
        subject = what.tenant_id or what.prefix or "*"
        await note(self._pool, request, "cache.invalidate", subject)
        answers = await self._services.forget(what)
        by_service = {name: sum(one.entries for one in answer) for name, answer in answers.by_service.items()}
        return json_response(
            CacheForgotten(entries=sum(by_service.values()), services=by_service, unreachable=list(answers.unreachable))
        )

    async def _redis_state(self) -> RedisState | None:
        try:
            found = await self._redis.info()
            keys = await self._redis.dbsize()
        except (RedisError, OSError):
            return None
        return RedisState(
            used_bytes=int(found.get("used_memory", 0)),
            most_bytes=int(found.get("maxmemory", 0)),
            keys=int(keys),
            evicted=int(found.get("evicted_keys", 0)),
        )


def cache_reads(figures: Figures) -> list[CacheReads]:
    """Of each cache, of all processes of its service together. A miss while Redis was away is a miss."""
    sums: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for service, labels, value in figures.samples(CACHE_READS_TOTAL):
        sums[service, labels.get("cache", "")][labels.get("result", "")] += int(value)
    return [
        CacheReads(
            service=service,
            cache=cache,
            hits=counts["hit"],
            misses=counts["miss"] + counts["away"],
            away=counts["away"],
            hit_rate=hit_rate(counts["hit"], counts["miss"] + counts["away"]),
        )
        for (service, cache), counts in sorted(sums.items())
    ]


def hit_rate(hits: int, misses: int) -> float:
    """0 before the first read."""
    return round(hits / (hits + misses), 6) if hits + misses else 0.0
