"""`Idempotency-Key`: equal requests under one key make one effect and get equal answers, however many come at once.

The key is claimed in the transaction of the effect, so a failure leaves none behind, and a request that meets another one with its
key waits for that one's end. Kept for 48 hours. What a request is refused for depends on the moment, so it is looked at within the
effect: a replay gets the first answer although it could no longer be taken.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
from aiohttp import web

from services.gateway.store import idempotency as store
from shared.bus.outbox import Outbox, Unit
from shared.errors import Rejected
from shared.http.requests import read_idempotency_key
from shared.http.routes import ROUTE, TENANT_ID
from shared.ids import TenantId

REPLAYED: Final = "Idempotent-Replayed"

Effect = Callable[[Unit], Awaitable[tuple[int, bytes]]]
"""Does the work in the transaction; returns the answer's status and JSON."""


async def once(outbox: Outbox, request: web.Request, body: bytes, effect: Effect) -> web.Response:
    """Do `effect` once per key and answer; without a key, just do it.

    Raises `Rejected`: 400 for a malformed key, 422 for one that came with another body, 409 where a request with it takes too long.
    """
    key = read_idempotency_key(request)
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
        raise Rejected("idempotency.key_reused", "This Idempotency-Key was used with another body.", 422)
    return _response(found["status"], found["answer"], replayed=True)


def _in_flight() -> Rejected:
    return Rejected("idempotency.in_flight", "A request with this key is being served.", 409, retry_after_seconds=1)


def _response(status: int, answer: bytes, *, replayed: bool = False) -> web.Response:
    headers = {REPLAYED: "true"} if replayed else None
    return web.Response(body=answer, status=status, content_type="application/json", headers=headers)
