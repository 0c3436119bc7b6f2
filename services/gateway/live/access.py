"""Who reads live: a key as everywhere, or, for browsers, whose requests for streams carry no headers of their own, what stands
elsewhere in the request."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from services.gateway.tenants import Authenticator, invalid
from shared.auth.keys import parse_key
from shared.auth.seal import Sealer, SealError
from shared.clock import Clock
from shared.errors import Rejected
from shared.http.routes import CLIENT_ID, TENANT_ID
from shared.ids import TenantId, is_id

TICKET_LIFE: Final = timedelta(seconds=60)
TOKEN: Final = "token"  # noqa: S105  # a parameter's name
PROTOCOL: Final = "chasqui.v1"
"""The WebSocket subprotocol; a browser that has a key offers `key.chq_…` beside it."""
_KEY_PROTOCOL: Final = "key."
_COLUMN: Final = "live.ticket"
_TO_URL: Final = str.maketrans("+/", "-_", "=")
_FROM_URL: Final = str.maketrans("-_", "+/")


class Tickets:
    """Texts that open the live updates of a tenant for a minute, and nothing else. They are sealed, not stored."""

    def __init__(self, sealer: Sealer, clock: Clock) -> None:
        self._sealer = sealer
        self._clock = clock

    def make(self, tenant_id: TenantId, client_id: str, expires_at: datetime) -> str:
        """A ticket, to be used in a URL; `expires_at` in whole seconds."""
        sealed = self._sealer.seal(tenant_id, _COLUMN, "", f"{int(expires_at.timestamp())} {client_id}")
        return f"{tenant_id}.{sealed.translate(_TO_URL)}"

    def open(self, ticket: str) -> tuple[TenantId, str] | None:
        """The tenant, and the client it was made for; None where it opens nothing or nothing any more."""
        tenant, _, sealed = ticket.partition(".")
        if not is_id(tenant, "tnt") or not sealed.isascii():
            return None
        padded = sealed.translate(_FROM_URL) + "=" * (-len(sealed) % 4)
        try:
            until, _, client_id = self._sealer.open(TenantId(tenant), _COLUMN, "", padded).partition(" ")
        except SealError:
            return None
        return None if int(until) < self._clock.now().timestamp() else (TenantId(tenant), client_id)


class LiveAuthenticator:
    """Takes `Authorization` first, then a key among the WebSocket's subprotocols, then a ticket in `?token=`."""

    def __init__(self, keys: Authenticator, tickets: Tickets) -> None:
        self._keys = keys
        self._tickets = tickets

    async def __call__(self, request: web.Request) -> None:
        offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        key_text = next((name.removeprefix(_KEY_PROTOCOL) for name in offered if name.startswith(_KEY_PROTOCOL)), None)
        if "Authorization" in request.headers or (key_text is None and TOKEN not in request.query):
            await self._keys(request)
            return
        if key_text is not None:
            key = parse_key(key_text)
            tenant_id = None if key is None else await self._keys.tenant_of(key)
            if key is None or tenant_id is None:
                raise invalid(key_text)
            request[TENANT_ID], request[CLIENT_ID] = tenant_id, key.key_id
            return
        opened = self._tickets.open(request.query[TOKEN])
        if opened is None:
            raise Rejected("auth.invalid", "This ticket is not valid, or not any more; ask for another.", 401)
        request[TENANT_ID], request[CLIENT_ID] = opened
