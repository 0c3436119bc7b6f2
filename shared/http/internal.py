"""Who may ask an inner service: the gateway, which knows the tenant, and nobody else."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import web
from pydantic import SecretStr

from shared.errors import Rejected
from shared.http.routes import TENANT_ID, Authenticator
from shared.ids import TenantId, is_id

TENANT_HEADER: Final = "X-Chasqui-Tenant"
CLIENT_HEADER: Final = "X-Chasqui-Client"
"""The id of the API key that was shown to the gateway."""
TIME_ZONE_HEADER: Final = "X-Chasqui-Time-Zone"
"""The tenant's own zone, where the gateway adds it."""


def internal(token: SecretStr) -> Authenticator:
    """Takes the internal token, compared in constant time, and the tenant that the gateway has authenticated."""
    expected = f"Bearer {token.get_secret_value()}".encode()

    async def authenticate(request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not hmac.compare_digest(given, expected):
            raise Rejected("auth.invalid", "This service answers the gateway only.", status=401)
        tenant = request.headers.get(TENANT_HEADER, "")
        if not is_id(tenant, "tnt"):
            raise Rejected("tenant.missing", f"`{TENANT_HEADER}` must name the tenant.", status=400)
        request[TENANT_ID] = tenant

    return authenticate


def tenant_of(request: web.Request) -> TenantId:
    """The tenant in whose name the gateway asks."""
    return TenantId(request[TENANT_ID])
