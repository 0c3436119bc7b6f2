"""Files of contacts: sent, worked on, and what became of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from redis.asyncio import Redis

from services.gateway.contact_import import Imports
from services.gateway.groups import Groups
from shared.cache import Cache
from shared.clock import SystemClock
from shared.db.pool import Pool
from shared.ids import TenantId
from tests.integration.gateway.serving import NO_REDIS, Answer, Gateway, Tenant
from tests.support.told import silent_outbox

PATH = "/api/contacts/import"


def imports_of(pool: Pool) -> Imports:
    """Without Redis."""
    return Imports(silent_outbox(pool, "gateway"), pool, SystemClock(), Groups(pool, Cache(Redis.from_url(NO_REDIS))))


async def send(gateway: Gateway, tenant: Tenant, data: bytes, query: str = "", **headers: str) -> Answer:
    return await gateway.call("POST", PATH + query, data, tenant, **{"Content-Type": "text/csv", **headers})


async def ended(gateway: Gateway, tenant: Tenant, answer: Answer) -> dict[str, Any]:
    assert answer.status == 202, answer.text
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        body: dict[str, Any] = (await gateway.call("GET", f"/api/contacts/imports/{answer.body['id']}", tenant=tenant)).body
        if body["state"] == "completed":
            return body
        await asyncio.sleep(0.02)
    raise AssertionError("the import does not end")


async def errors(gateway: Gateway, tenant: Tenant, import_id: str) -> list[tuple[int, str, str]]:
    found, cursor = [], ""
    while True:
        page = await gateway.call("GET", f"/api/contacts/imports/{import_id}/errors?limit=2{cursor}", tenant=tenant)
        assert page.status == 200, page.text
        found += [(fault["line"], fault["field"], fault["code"]) for fault in page.body["data"]]
        if "next_cursor" not in page.body:
            return found
        cursor = f"&cursor={page.body['next_cursor']}"


def numbered(rows: int) -> bytes:
    return b"phone\n" + b"".join(b"+1555000%04d\n" % n for n in range(rows))


async def received(imports: Imports, pool: Pool, tenant_id: TenantId, data: bytes) -> str:
    """An import that waits, with nobody there to work on it."""

    async def parts() -> AsyncIterator[bytes]:
        yield data

    got = await imports.receive(tenant_id, parts(), region=None, encoding=None)
    async with silent_outbox(pool, "gateway").transaction() as unit:
        await imports.start(unit, tenant_id, got)
    return got.import_id
