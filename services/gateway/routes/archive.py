"""The archive's door: tenants are authenticated here, then the archive answers through us."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from aiohttp import web

from services.archive.operations import analytics, bookmarks, exports, imports, labels, marking, reading, retention, search
from services.gateway.forward import Door
from shared.http.internal import TIME_ZONE_HEADER
from shared.http.routes import TENANT_ID, Handler, Route
from shared.ids import TenantId

TimeZone = Callable[[TenantId], Awaitable[str]]
"""Tells a tenant's own zone."""


def routes(door: Door, time_zone: TimeZone) -> Sequence[Route]:
    """What the archive answers."""

    async def send_file(request: web.Request) -> web.StreamResponse:
        """The archive knows no tenant's settings: the zone goes along."""
        return await door.pass_through(request, {TIME_ZONE_HEADER: await time_zone(TenantId(request[TENANT_ID]))})

    def handler(operation: Route) -> Handler:
        return send_file if operation in imports.STREAMED else door.forward

    return [
        operation.served_by(handler(operation))
        for operation in (
            *reading.ALL,
            *search.ALL,
            *analytics.ALL,
            *bookmarks.ALL,
            *labels.ALL,
            *exports.ALL,
            *imports.ALL,
            *marking.ALL,
            *retention.ALL,
        )
    ]
