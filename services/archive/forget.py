"""What operators make the archive's caches forget."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from services.archive.cache import PREFIX, analytics_group, conversation_group, tenant_group
from services.archive.nearby import Nearby
from services.archive.store import forget as store
from shared.cache import Cache, key_of
from shared.db.pool import Pool
from shared.operations.caches import Forgetting


def forgetting(pool: Pool, cache: Cache, redis: Redis, nearby: Nearby) -> Forgetting:
    """In Redis, and near by in this process altogether."""

    async def of_tenant(tenant_id: str, keys: Sequence[str]) -> Sequence[str]:
        """Entries are named after conversations, of which only the database knows whose they are."""
        own = await store.own_conversations(pool, tenant_id, {key.rpartition(":")[2] for key in keys})
        gone = {tenant_group(tenant_id), analytics_group(tenant_id)}
        for conversation_id in own:
            gone |= {conversation_group(conversation_id), analytics_group(conversation_id)}
        return [key for key in keys if key in gone]

    def forget_nearby() -> None:
        nearby.hear(is_heard=nearby.is_heard)

    return Forgetting(cache, redis, key_of(PREFIX, ""), of_tenant, forget_nearby)
