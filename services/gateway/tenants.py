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
from shared.auth.keys import ApiKey, matches, new_key, parse_admin_key, parse_key
from shared.clock import Clock
from shared.config import SettingsError, load
from shared.db.pool import Connection, Pool, open_pool
from shared.errors import Rejected
from shared.http.routes import CLIENT_ID, TENANT_ID
from shared.ids import TenantId, new_id
from shared.unavailable import is_unavailable

FRESH_SECONDS: Final = 5.0
"""A revoked key opens nothing after this long."""
RENEWED_SECONDS: Final = 4.0
"""From then on the first one who shows a key reads it again, while the others still go by what is known."""
CACHE_KEYS: Final = 10_000
ACTIVE_SECONDS: Final = 300.0


class _AbandonedError(Exception):
    """Whoever was reading a key was cancelled; those who waited for it read it themselves."""


class Authenticator:
    """Tells the tenant from `Authorization: Bearer chq_…`. Known keys are remembered for five seconds; unknown ones never are. Of
    those who show the same key at once one reads it for all: the database is asked once, however many come in."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._known: OrderedDict[bytes, tuple[float, TenantId]] = OrderedDict()
        self._readings: dict[bytes, asyncio.Future[TenantId | None]] = {}

    @property
    def active(self) -> int:
        """Keys that were shown here within `ACTIVE_SECONDS`."""
        since = self._clock.monotonic() - ACTIVE_SECONDS
        return sum(read_at >= since for read_at, _ in self._known.values())

    async def __call__(self, request: web.Request) -> None:
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not text:
            raise Rejected("auth.missing", "Send your API key as Authorization: Bearer chq_…", 401)
        key = parse_key(text.strip())
        tenant_id = await self.tenant_of(key) if key is not None else None
        if key is None or tenant_id is None:
            raise invalid(text.strip())
        request[TENANT_ID], request[CLIENT_ID] = tenant_id, key.key_id

    async def tenant_of(self, key: ApiKey) -> TenantId | None:
        """The tenant whose door the key opens; None where it opens none."""
        while True:
            known, age = self._remembered(key)
            if known is not None and age < RENEWED_SECONDS:
                return known
            reading = self._readings.get(key.digest)
            try:
                if reading is None:
                    return await self._read(key)
                return known if known is not None else await asyncio.shield(reading)  # one who waits may be cancelled alone
            except _AbandonedError:
                continue
            except Exception as error:
                if known is None or not is_unavailable(error):
                    raise
                return known

    def _remembered(self, key: ApiKey) -> tuple[TenantId | None, float]:
        """What may still be gone by, and how old it is in seconds."""
        read_at, tenant_id = self._known.get(key.digest, (-FRESH_SECONDS, None))
        age = self._clock.monotonic() - read_at
        return (tenant_id if age < FRESH_SECONDS else None), age

    async def _read(self, key: ApiKey) -> TenantId | None:
        reading = self._readings[key.digest] = asyncio.get_running_loop().create_future()
        try:
            found = await self._find(key)
            reading.set_result(found)
            return found
        except BaseException as error:  # canceled too: those who wait with it must hear of it
            reading.set_exception(error if isinstance(error, Exception) else _AbandonedError())
            reading.exception()  # perhaps nobody waits for it, which is no reason to complain
            raise
        finally:
            del self._readings[key.digest]

    async def _find(self, key: ApiKey) -> TenantId | None:
        now = self._clock.monotonic()
        row = await store.find_key(self._pool, key.key_id)
        if row is None or not matches(key, row["digest"]):
            self._known.pop(key.digest, None)
            return None
        tenant_id = TenantId(row["tenant_id"])
        self._known[key.digest] = (now, tenant_id)
        self._known.move_to_end(key.digest)
        while len(self._known) > CACHE_KEYS:
            self._known.popitem(last=False)
        return tenant_id


def invalid(text: str) -> Rejected:
    """The answer to a text that opens no tenant's door."""
    if parse_admin_key(text) is not None:
        return Rejected("auth.invalid", "This is an operator's key, which opens /admin only: send the key of a tenant.", 401)
    return Rejected("auth.invalid", "This API key is not valid.", 401)


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
