"""Wiring of the callbacks: what they share with the sending is the process, its database and its Redis."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from typing import Final

from aiohttp import ClientSession
from redis.asyncio import Redis

from services.sender.callbacks import chores
from services.sender.callbacks.circuits import POLICY, Circuits
from services.sender.callbacks.crew import Crew
from services.sender.callbacks.endpoints import Endpoints
from services.sender.callbacks.fan_out import fan_out
from services.sender.callbacks.keys import Keys
from services.sender.callbacks.post import CONNECT_SECONDS, TOTAL_SECONDS, Poster
from services.sender.callbacks.routes import CallbackRoutes
from shared.addresses import Networks
from shared.auth.seal import Sealer
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.db.pool import Pool
from shared.events.catalogue import UpdateTold
from shared.http.outside import Hosts, open_outside_client
from shared.http.routes import Route
from shared.limits.breakers import Breakers
from shared.run import Component
from shared.telemetry.metrics import Metrics

BY_HAND: Final = 32
"""Connections for challenges and tests, which have a client of their own: slow ones take none of the crew's."""
IDLE_SECONDS: Final = 4.0
"""Idle connections are kept for less than the five after which many a server closes them: no post meets one that is going away."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """What the service serves, runs and tells."""

    routes: Sequence[Route]
    components: Sequence[Component]
    pool: Pool
    crew: Crew

    async def tell(self, updates: Sequence[UpdateTold]) -> None:
        await fan_out(self.pool, updates, self.crew.wake)


async def open_callbacks(
    stack: AsyncExitStack,
    outbox: Outbox,
    pool: Pool,
    redis: Redis,
    sealer: Sealer,
    networks: Networks,
    metrics: Metrics,
    clock: Clock,
    *,
    concurrency: int,
) -> Callbacks:
    """Open their clients; nothing runs yet."""
    poster = Poster(await stack.enter_async_context(_client(networks, concurrency)), clock)
    by_hand = Poster(await stack.enter_async_context(_client(networks, BY_HAND)), clock)
    hosts = Hosts(networks)
    stack.callback(hosts.close)
    keys, breakers = Keys(sealer), Breakers(redis, POLICY, clock)
    circuits = Circuits(breakers, clock)
    crew = Crew(outbox, pool, poster, keys, circuits, metrics, clock, concurrency=concurrency)
    endpoints = Endpoints(keys, by_hand, networks, hosts)
    routes = CallbackRoutes(outbox, pool, endpoints, keys, by_hand, clock, crew, circuits).routes()
    return Callbacks(routes, [crew, *chores.jobs(outbox, pool), breakers], pool, crew)


def _client(networks: Networks, limit: int) -> AbstractAsyncContextManager[ClientSession]:
    return open_outside_client(
        networks,
        limit=limit,
        connect_seconds=CONNECT_SECONDS,
        total_seconds=TOTAL_SECONDS,
        keepalive_seconds=IDLE_SECONDS,
    )
