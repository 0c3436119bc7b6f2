"""GET and PUT /api/retention."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.archive.operations import retention
from services.archive.payloads.retention import RetentionPayload, RetentionRule
from services.archive.store import retention as store
from services.archive.tenants import Tenants
from shared.db.pool import Pool
from shared.http.internal import CLIENT_HEADER, tenant_of
from shared.http.requests import read_model
from shared.http.responses import json_response
from shared.http.routes import Access, Route
from shared.ids import TenantId


def routes(pool: Pool, tenants: Tenants) -> Sequence[Route]:
    """The tenant's rule of retention."""

    async def get_retention(request: web.Request) -> web.StreamResponse:
        return json_response(await _shown(tenant_of(request)))

    async def put_retention(request: web.Request) -> web.StreamResponse:
        tenant, rule = tenant_of(request), await read_model(request, RetentionRule)
        numbers = await tenants.numbered({tenant})
        await store.set_retention(pool, numbers[tenant], rule.days, request.headers.get(CLIENT_HEADER, "")[:64])
        return json_response(await _shown(tenant))

    async def _shown(tenant: TenantId) -> RetentionPayload:
        return RetentionPayload(**(await store.retention(pool, tenant))._asdict())

    return (
        retention.GET_RETENTION.served_by(get_retention, Access.INTERNAL),
        retention.PUT_RETENTION.served_by(put_retention, Access.INTERNAL),
    )
