"""The gateway's own station."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from services.gateway.consumers import SUBSCRIPTIONS
from services.gateway.groups import PREFIX
from shared.bus.interface import Bus
from shared.cache import Cache, key_of
from shared.db.pool import Pool
from shared.db.query_times import QueryTimes
from shared.operations.caches import Forgetting
from shared.operations.station import Station


def own_station(bus: Bus, pool: Pool, times: QueryTimes, cache: Cache, redis: Redis) -> Station:
    """`cache` is the groups'."""

    async def of_tenant(tenant_id: str, keys: Sequence[str]) -> Sequence[str]:
        return [key for key in keys if key.startswith(key_of(PREFIX, tenant_id, ""))]

    return Station(bus, SUBSCRIPTIONS, {"main": pool}, [times], Forgetting(cache, redis, key_of(PREFIX, ""), of_tenant))
