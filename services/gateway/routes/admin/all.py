"""All operational paths together."""

from __future__ import annotations

from collections.abc import Sequence

from redis.asyncio import Redis

from services.gateway.connections import Connections
from services.gateway.numbers import NumberDirectory
from services.gateway.operations.letters import Letters
from services.gateway.operations.others import AllServices
from services.gateway.routes.admin.caches import CacheRoutes
from services.gateway.routes.admin.health import HealthRoutes
from services.gateway.routes.admin.letters import LetterRoutes
from services.gateway.routes.admin.numbers import AnyNumberRoutes
from services.gateway.routes.admin.queues import QueueRoutes
from services.gateway.routes.admin.restored import RestoredRoutes
from shared.bus.interface import Bus
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.http.routes import Route


def operator_routes(  # what they need together
    services: AllServices,
    bus: Bus,
    outbox: Outbox,
    pool: Pool,
    redis: Redis,
    connections: Connections,
    directory: NumberDirectory,
    clock: Clock,
) -> Sequence[Route]:
    """In the order of the reference."""
    return [
        *QueueRoutes(services, bus, pool).routes(),
        *LetterRoutes(services, Letters(bus, pool), pool, clock).routes(),
        *CacheRoutes(services, redis, pool).routes(),
        *HealthRoutes(services, pool).routes(),
        *RestoredRoutes(services, pool).routes(),
        *AnyNumberRoutes(outbox, pool, connections, directory).routes(),
    ]
