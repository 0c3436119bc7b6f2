"""`Idempotency-Key`: equal requests under one key make one effect and get equal answers, however many come at once.

The key is claimed in the transaction of the effect, so a failure leaves none behind, and a request that meets another one with its
key waits for that one's end. Kept for 48 hours.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from aiohttp import web

from services.gateway.store import idempotency as store
from shared.bus.outbox import Outbox, Unit
from shared.errors import Rejected
from shared.http.routes import ROUTE, TENANT_ID
from shared.ids import TenantId

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
KEPT_HOURS: Final = 48
_SHAPE: Final = re.compile(r"[\x21-\x7e]{1,255}")

Effect = Callable[[Unit], Awaitable[tuple[int, bytes]]]
"""Does the work in the transaction; returns the answer's status and JSON."""


def key_of(request: web.Request) -> str | None:
    """The request's key, if it has one. Raises `Rejected` 400 for one that is not 1 to 255 visible ASCII characters."""
    key = request.headers.get(HEADER)
    if key is not None and not _SHAPE.fullmatch(key):
        raise Rejected("idempotency.key_invalid", f"{HEADER} must be 1 to 255 visible ASCII characters.", 400)
    return key


async def once(outbox: Outbox, request: web.Request, body: bytes, effect: Effect) -> web.Response:
    """Do `effect` once per key and answer; without a key, just do it.

    Raises `Rejected` 422 where the key came with another body before, 409 where a request with it takes too long.
    """
    key = key_of(request)
    if key is None:
        async with outbox.transaction() as unit:
            status, answer = await effect(unit)
        return _response(status, answer)
    tenant_id, route = TenantId(request[TENANT_ID]), f"{request.method} {request[ROUTE].template} {request.path}"
    fingerprint = hashlib.sha256(body).digest()
    try:
        async with outbox.transaction() as unit:
            if await store.claim(unit.connection, tenant_id, route, key, fingerprint):
                status, answer = await effect(unit)
                await store.store(unit.connection, tenant_id, route, key, status, answer)
                return _response(status, answer)
            found = await store.find(unit.connection, tenant_id, route, key)
    except asyncpg.LockNotAvailableError:
        raise _in_flight() from None
    if found is None:  # the other request failed between our two looks: nothing was done under the key yet
        raise _in_flight()
    if found["fingerprint"] != fingerprint:
        raise Rejected("idempotency.key_reused", f"This {HEADER} was used with another body.", 422)
    return _response(found["status"], found["answer"], replayed=True)


def _in_flight() -> Rejected:
    return Rejected("idempotency.in_flight", "A request with this key is being served.", 409, retry_after_seconds=1)


def _response(status: int, answer: bytes, *, replayed: bool = False) -> web.Response:
    headers = {REPLAYED: "true"} if replayed else None
    return web.Response(body=answer, status=status, content_type="application/json", headers=headers)
