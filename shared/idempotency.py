"""`Idempotency-Key`: equal requests under one key make one effect and get equal answers, however many come at once.

The key is claimed in the transaction of the effect, so a failure leaves none behind, and a request that meets another one with its
key waits for that one's end. Kept for 48 hours. What a request is refused for depends on the moment, so it is looked at within the
effect: a replay gets the first answer although it could no longer be taken. A service that takes keys has a table
`idempotency_keys` of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import asyncpg
from aiohttp import web

from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.db.queries import Queries
from shared.errors import Rejected
from shared.http.requests import read_idempotency_key
from shared.http.routes import ROUTE, TENANT_ID
from shared.ids import TenantId

REPLAYED: Final = "Idempotent-Replayed"
KEPT: Final = timedelta(hours=48)

sql = Queries(Path(__file__).with_name("idempotency_queries.sql"))
CLAIM_KEY: Final = sql["claim_key"]
STORE_ANSWER: Final = sql["store_answer"]
SELECT_ANSWER: Final = sql["select_answer"]
PRUNE_KEYS: Final = sql["prune_keys"]

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
    name = _name(request, key)
    fingerprint = hashlib.sha256(body).digest()
    try:
        async with outbox.transaction() as unit:
            if await unit.connection.fetchval(CLAIM_KEY, *name, fingerprint):
                status, answer = await effect(unit)
                await unit.connection.execute(STORE_ANSWER, *name, status, answer)
                return _response(status, answer)
            found = await unit.connection.fetchrow(SELECT_ANSWER, *name)
    except asyncpg.LockNotAvailableError:
        raise _in_flight() from None
    if found is None:  # the other request failed between our two looks: nothing was done under the key yet
        raise _in_flight()
    if found["fingerprint"] != fingerprint:
        raise Rejected("idempotency.key_reused", "This Idempotency-Key was used with another body.", 422)
    return _response(found["status"], found["answer"], replayed=True)


async def is_answered(pool: Pool, request: web.Request) -> bool:
    """True where a request with this key was answered already: what a handler does on the network before `once` is not done again.

    Raises `Rejected` 400 for a malformed key.
    """
    key = read_idempotency_key(request)
    return key is not None and await pool.fetchrow(SELECT_ANSWER, *_name(request, key)) is not None


async def prune(pool: Pool, *, limit: int) -> bool:
    """Forget keys that are older than `KEPT`, at most so many; True where there may be more."""
    return (await pool.execute(PRUNE_KEYS, KEPT, limit)).rpartition(" ")[2] == str(limit)


def _name(request: web.Request, key: str) -> tuple[TenantId, str, str]:
    return TenantId(request[TENANT_ID]), f"{request.method} {request[ROUTE].template} {request.path}", key


def _in_flight() -> Rejected:
    return Rejected("idempotency.in_flight", "A request with this key is being served.", 409, retry_after_seconds=1)


def _response(status: int, answer: bytes, *, replayed: bool = False) -> web.Response:
    headers = {REPLAYED: "true"} if replayed else None
    return web.Response(body=answer, status=status, content_type="application/json", headers=headers)
