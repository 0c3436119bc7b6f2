"""Tenants and their keys, and the question whose request this is.

python -m services.gateway.tenants create "Acme"      a tenant and its first key, shown once
python -m services.gateway.tenants key "Acme" [--live]  another key
python -m services.gateway.tenants revoke KEY_ID
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import OrderedDict
from typing import Final

import asyncpg
from aiohttp import web

from services.gateway.settings import Settings
from services.gateway.store import tenants as store
from shared.auth.keys import ApiKey, matches, new_key, parse_key
from shared.clock import Clock
from shared.config import SettingsError, load
from shared.db.pool import Connection, Pool, open_pool
from shared.errors import Rejected
from shared.http.routes import CLIENT_ID, TENANT_ID
from shared.ids import TenantId, new_id

FRESH_SECONDS: Final = 5.0
"""A revoked key opens nothing after this long."""
CACHE_KEYS: Final = 10_000


class Authenticator:
    """Tells the tenant from `Authorization: Bearer chq_…`. Known keys are remembered for five seconds; unknown ones never are."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, TenantId]] = OrderedDict()

    async def __call__(self, request: web.Request) -> None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Rejected("auth.missing", "Send your API key as Authorization: Bearer chq_…", 401)
        key = parse_key(text.strip())
        tenant_id = await self.tenant_of(key) if key is not None else None
        if key is None or tenant_id is None:
            raise Rejected("auth.invalid", "This API key is not valid.", 401)
        request[TENANT_ID], request[CLIENT_ID] = tenant_id, key.key_id

    async def tenant_of(self, key: ApiKey) -> TenantId | None:
        """The tenant whose door the key opens; None where it opens none."""
        now = self._clock.monotonic()
        known = self._known.get(key.digest)
        if known is not None and now - known[0] < FRESH_SECONDS:
            return known[1]
        row = await store.find_key(self._pool, key.key_id)
        if row is None or not matches(key, row["digest"]):
            return None
        tenant_id = TenantId(row["tenant_id"])
        self._known[key.digest] = (now, tenant_id)
        self._known.move_to_end(key.digest)
        while len(self._known) > CACHE_KEYS:
            self._known.popitem(last=False)
        return tenant_id


async def create(connection: Connection, name: str) -> TenantId:
    """A new tenant."""
    tenant_id = TenantId(new_id("tnt"))
    await store.insert(connection, tenant_id, name)
    return tenant_id


async def admit_key(connection: Connection, tenant_id: TenantId, text: str) -> None:
    """Let a key open the tenant's door; twice is fine. Raises `ValueError` for a text that is no key."""
    key = parse_key(text)
    if key is None:
        raise ValueError("not an API key")
    await store.insert_key(connection, key.key_id, tenant_id, live=key.live, digest=key.digest)


async def _run(arguments: argparse.Namespace, settings: Settings) -> str:
    async with open_pool(settings.db, "gateway") as pool, pool.acquire() as connection, connection.transaction():
        if arguments.action == "revoke":
            return "revoked" if await store.revoke_key(connection, arguments.name) else "there is no such key in use"
        tenant_id = await store.by_name(connection, arguments.name)
        if arguments.action == "create":
            tenant_id = await create(connection, arguments.name)
        if tenant_id is None:
            return "there is no such tenant"
        text = new_key(live=arguments.live)
        await admit_key(connection, tenant_id, text)
        return f"tenant {tenant_id}\nkey {text}"


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m services.gateway.tenants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("action", choices=("create", "key", "revoke"))
    parser.add_argument("name", help="the tenant's name; for revoke the key's id")
    parser.add_argument("--live", action="store_true", help="a live key instead of a test key")
    try:
        sys.stdout.write(asyncio.run(_run(parser.parse_args(), load(Settings))) + "\n")
    except (SettingsError, OSError, asyncpg.PostgresError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
