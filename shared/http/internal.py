"""Who may ask an inner service: the gateway, which knows the tenant, and nobody else."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Final

from aiohttp import hdrs, web
from pydantic import SecretStr

from shared.errors import Rejected
from shared.http.routes import TENANT_ID, Authenticator
from shared.ids import TenantId, is_id

TENANT_HEADER: Final = "X-Chasqui-Tenant"
CLIENT_HEADER: Final = "X-Chasqui-Client"
"""The id of the API key that was shown to the gateway."""
TIME_ZONE_HEADER: Final = "X-Chasqui-Time-Zone"
"""The tenant's own zone, where the gateway adds it."""


def internal(*tokens: SecretStr) -> Authenticator:
    """As `service`, and takes the tenant that the gateway has authenticated."""
    is_known = service(*tokens)

    async def authenticate(request: web.Request) -> None:
        await is_known(request)
        tenant = request.headers.get(TENANT_HEADER, "")
        if not is_id(tenant, "tnt"):
            raise Rejected("tenant.missing", f"`{TENANT_HEADER}` must name the tenant.", status=400)
        request[TENANT_ID] = tenant

    return authenticate


def service(*tokens: SecretStr) -> Authenticator:
    """Takes any of the internal tokens, whoever it is asked for: two while one is rotated. Empty ones open nothing."""
    is_shown = shows(*tokens)

    async def authenticate(request: web.Request) -> None:
        if not is_shown(request):
            raise Rejected("auth.invalid", "This place answers the platform's own services only.", status=401)

    return authenticate


def shows(*tokens: SecretStr) -> Callable[[web.Request], bool]:
    """Whether a request shows one of these as its bearer token; each is compared in constant time."""
    expected = [f"Bearer {token.get_secret_value()}".encode() for token in tokens if token.get_secret_value()]

    def is_shown(request: web.Request) -> bool:
        given = request.headers.get(hdrs.AUTHORIZATION, "").encode(errors="surrogateescape")
        return any([hmac.compare_digest(given, one) for one in expected])  # noqa: C419  # all of them, always

    return is_shown


def tenant_of(request: web.Request) -> TenantId:
    """The tenant in whose name the gateway asks."""
    return TenantId(request[TENANT_ID])
