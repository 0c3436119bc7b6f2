"""One service as operators see it. The gateway asks its own station directly and those of the others over HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from shared.bus.interface import Bus, Subscription
from shared.db.pool import Pool
from shared.db.query_times import QueryTimes
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import Access, Route
from shared.operations.caches import Forgetting
from shared.operations.databases import database_state
from shared.operations.payloads import DatabaseState, Forget, Forgotten, QueueState, QueueStates

QUEUES_PATH: Final = "/internal/operations/queues"
DATABASE_PATH: Final = "/internal/operations/database"
CACHES_PATH: Final = "/internal/operations/caches/forget"
TAG: Final = "Operations"


class Station:
    """`pools` by name, the main one first; a service without a cache leaves `caches` out."""

    def __init__(
        self,
        bus: Bus,
        subscriptions: Sequence[Subscription],
        pools: Mapping[str, Pool],
        times: Sequence[QueryTimes],
        caches: Forgetting | None = None,
    ) -> None:
        self._bus = bus
        self._subscriptions = subscriptions
        self.pools = pools
        self._times = times
        self._caches = caches

    async def queues(self) -> QueueStates:
        """Raises `BusError`."""
        states = []
        for subscription in self._subscriptions:
            stats = await self._bus.stats(subscription)
            states.append(QueueState(queue=subscription.name, waiting=stats.waiting, dead=stats.dead))
        return QueueStates(data=states)

    async def database(self) -> DatabaseState:
        """Raises what asyncpg raises."""
        return await database_state(self.pools, self._times)

    async def forget(self, what: Forget) -> Forgotten:
        """Raises `Rejected` while Redis is away."""
        return Forgotten(entries=0 if self._caches is None else await self._caches.forget(what))

    def routes(self) -> Sequence[Route]:
        """For the gateway."""

        async def queues(_: web.Request) -> web.StreamResponse:
            return json_response(await self.queues())

        async def database(_: web.Request) -> web.StreamResponse:
            return json_response(await self.database())

        async def forget(request: web.Request) -> web.StreamResponse:
            return json_response(await self.forget(await read_model(request, Forget)))

        return [
            Route("GET", QUEUES_PATH, queues, "Its queues", TAG, access=Access.SERVICE, documented=False),
            Route("GET", DATABASE_PATH, database, "Its database", TAG, access=Access.SERVICE, documented=False),
            Route(
                "POST",
                CACHES_PATH,
                forget,
                "Let its caches forget",
                TAG,
                request=Forget,
                access=Access.SERVICE,
                documented=False,
            ),
        ]
