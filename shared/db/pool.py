"""Connections: one pool per service, as that service's role, every wait bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg

from shared.config import DatabaseSettings

if TYPE_CHECKING:
    from asyncpg.pool import PoolAcquireContext, PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connection = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection


def role_of(service: str) -> str:
    """The database role of a service; it sees the schema of the same service and nothing else."""
    return f"chasqui_{service}"


def service_url(settings: DatabaseSettings, service: str) -> str:
    """The DSN with the service's role and password put in."""
    parts = urlsplit(settings.url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{role_of(service)}:{quote(settings.password.get_secret_value(), safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


@asynccontextmanager
async def open_pool(settings: DatabaseSettings, service: str, session: Mapping[str, str] | None = None) -> AsyncIterator[Pool]:
    """A pool as `chasqui_<service>`. Timeouts of statements, locks and idle transactions belong to the role (see `migrate`), unless
    `session` sets other ones, or more of the server's parameters, for all connections.

    Raises what asyncpg raises where the server cannot be reached or refuses the role.
    """
    async with opened(BoundedPool, settings, service, session) as pool:
        yield pool


@asynccontextmanager
async def opened(
    kind: type[BoundedPool], settings: DatabaseSettings, service: str, session: Mapping[str, str] | None, **rest: Any
) -> AsyncIterator[Pool]:
    """`open_pool` of a kind of pool, which takes `rest`."""
    pool = await kind(
        service_url(settings, service),
        acquire_seconds=settings.acquire_seconds,
        min_size=min(settings.pool_min, settings.pool_max),
        max_size=settings.pool_max,
        max_queries=50_000,
        loop=None,
        connection_class=asyncpg.Connection,
        record_class=asyncpg.Record,
        command_timeout=settings.command_seconds,
        timeout=settings.acquire_seconds,
        max_inactive_connection_lifetime=300,
        reset=_keep_as_it_is,
        server_settings={"application_name": f"chasqui {service}", **(session or {})},
        **rest,
    )
    try:
        yield pool
    finally:
        await _close(pool)


class BoundedPool(Pool):
    """Waits for a free connection no longer than it is told; asyncpg's own `timeout` bounds connecting only."""

    def __init__(self, dsn: str, *, acquire_seconds: float, **rest: Any) -> None:
        super().__init__(dsn, **rest)
        self._acquire_seconds = acquire_seconds

    def acquire(self, *, timeout: float | None = None) -> PoolAcquireContext[asyncpg.Record]:
        return super().acquire(timeout=self._acquire_seconds if timeout is None else timeout)


async def _keep_as_it_is(_: Connection) -> None:
    """No session state is ever set (a transaction that was left open is rolled back by its own block), so nothing is reset: asyncpg
    would spend a round trip on it after every use."""


async def _close(pool: Pool) -> None:
    """Close politely; connections still in use after two seconds belong to cancelled work and are cut."""
    try:
        async with asyncio.timeout(2):
            await pool.close()
    except TimeoutError:
        pool.terminate()


async def check(pool: Pool) -> None:
    """Readiness: the server answers and takes writes. Raises `ConnectionError` where it does not."""
    if await pool.fetchval("SELECT pg_is_in_recovery()", timeout=2):
        raise ConnectionError("the database is a replica")
