"""Connections: one pool per service, as that service's role, every wait bounded."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit, urlunsplit
from weakref import WeakSet

import asyncpg
import asyncpg.pool

from shared.config import DatabaseSettings
from shared.db.query_times import QueryTimes

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

    Pool = asyncpg.Pool[asyncpg.Record]
    Connected = asyncpg.Connection[asyncpg.Record]
    Connection = Connected | PoolConnectionProxy[asyncpg.Record]
    Borrowed = PoolConnectionProxy[asyncpg.Record]
    Borrowing = asyncpg.pool.PoolAcquireContext[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connected = Connection = asyncpg.Connection
    Borrowing = asyncpg.pool.PoolAcquireContext


def role_of(service: str) -> str:
    """The database role of a service; it sees the schema of the same service and nothing else."""
    return f"chasqui_{service}"


def service_url(settings: DatabaseSettings, service: str) -> str:
    """The DSN with the service's role and password put in."""
    parts = urlsplit(settings.url)
    host = parts.netloc.rpartition("@")[2]
    login = f"{role_of(service)}:{quote(settings.password.get_secret_value(), safe='')}"
    return urlunsplit(parts._replace(netloc=f"{login}@{host}"))


async def connect(settings: DatabaseSettings, service: str, **rest: Any) -> Connection:
    """A connection as `chasqui_<service>`, with the other password where the server refuses the first; `rest` is asyncpg's."""
    return await _connecting(settings, service)(**rest)


def _connecting(settings: DatabaseSettings, service: str) -> Callable[..., Awaitable[Connection]]:
    """Connects with either password. The one that was right last is tried first: a server tells of every one it refuses."""
    logins = [service_url(settings, service)]
    if settings.other_password.get_secret_value():
        logins.append(service_url(settings.model_copy(update={"password": settings.other_password}), service))

    async def connect(_: str = "", **rest: Any) -> Connection:
        *first, last = tuple(logins)
        for login in first:
            try:
                connection: Connection = await asyncpg.connect(login, **rest)
            except asyncpg.InvalidPasswordError:
                continue
            return connection
        connection = await asyncpg.connect(last, **rest)
        logins.sort(key=lambda login: login != last)
        return connection

    return connect


@asynccontextmanager
async def open_pool(
    settings: DatabaseSettings, service: str, session: Mapping[str, str] | None = None, times: QueryTimes | None = None
) -> AsyncIterator[Pool]:
    """A pool as `chasqui_<service>`. Timeouts of statements, locks and idle transactions belong to the role (see `migrate`), unless
    `session` sets other ones, or more of the server's parameters, for all connections.

    Raises what asyncpg raises where the server cannot be reached or refuses the role.
    """
    async with opened(BoundedPool, settings, service, session, times) as pool:
        yield pool


@asynccontextmanager
async def opened(
    kind: type[BoundedPool],
    settings: DatabaseSettings,
    service: str,
    session: Mapping[str, str] | None,
    times: QueryTimes | None,
    **rest: Any,
) -> AsyncIterator[Pool]:
    """`open_pool` of a kind of pool, which takes `rest`."""
    pool = await kind(
        service_url(settings, service),
        acquire_seconds=settings.acquire_seconds,
        min_size=min(settings.pool_min, settings.pool_max),
        max_size=settings.pool_max,
        max_queries=50_000,
        loop=None,
        connect=_connecting(settings, service),
        connection_class=BoundedConnection,
        record_class=asyncpg.Record,
        command_timeout=settings.command_seconds,
        timeout=settings.acquire_seconds,
        max_inactive_connection_lifetime=300,
        init=times.attach if times is not None else None,
        server_settings={"application_name": f"chasqui {service}", **(session or {})},
        **rest,
    )
    if times is not None:
        times.watch(pool)
    try:
        yield pool
    finally:
        await _close(pool)


class BoundedConnection(Connected):
    """Its COPYs into a table end when they should: while asyncpg waits for room in the socket, neither the time-out nor the
    connection's end reaches it (0.32)."""

    async def copy_records_to_table(self, table_name: str, *, timeout: float | None = None, **rest: Any) -> str:  # noqa: ASYNC109  # asyncpg's signature
        return await self._within(timeout, super().copy_records_to_table(table_name, timeout=timeout, **rest))

    async def copy_to_table(self, table_name: str, *, timeout: float | None = None, **rest: Any) -> str:  # noqa: ASYNC109  # asyncpg's signature
        return await self._within(timeout, super().copy_to_table(table_name, timeout=timeout, **rest))

    async def _within(self, seconds: float | None, copying: Awaitable[str]) -> str:
        bound: float | None = self._config.command_timeout  # type: ignore[attr-defined]
        limit, before = asyncio.timeout(bound if seconds is None else seconds), _cancellations()
        try:
            async with limit:
                return await copying
        except Exception as error:
            # One that is canceled on a lost connection may end as AttributeError.
            if _cancellations() > before:
                raise asyncio.CancelledError from error
            if limit.expired():
                raise TimeoutError("COPY") from error
            raise


class _Borrowing(Borrowing):
    """A block with a connection. Where it is canceled while the server does not answer, asyncpg's ways to end transaction and block
    raise something else (0.32), and whoever takes that for a server that is away would go on for ever."""

    async def __aenter__(self) -> Borrowed:
        self._before = _cancellations()
        return await super().__aenter__()

    async def __aexit__(self, *exc: object) -> None:
        error = exc[1] if len(exc) > 1 and isinstance(exc[1], BaseException) else None
        is_canceled = _cancellations() > self._before and _was_canceled(error)
        try:
            await super().__aexit__(*exc)
        except Exception:
            if not is_canceled:
                raise
        if is_canceled and not isinstance(error, asyncio.CancelledError):
            raise asyncio.CancelledError from error


class BoundedPool(Pool):
    """Waits for a free connection no longer than it is told; asyncpg's own `timeout` bounds connecting only. Use `acquire` in a
    block: without one it may hide a cancellation (`_Borrowing`)."""

    def __init__(self, dsn: str, *, acquire_seconds: float, **rest: Any) -> None:
        super().__init__(dsn, reset=self._clear, **rest)
        self._acquire_seconds = acquire_seconds
        self._left: WeakSet[Connection] = WeakSet()

    def acquire(self, *, timeout: float | None = None) -> Borrowing:
        return _Borrowing(self, self._acquire_seconds if timeout is None else timeout)

    async def release(self, connection: Borrowed, *, timeout: float | None = None) -> None:  # noqa: ASYNC109  # asyncpg's signature
        if sys.exc_info()[0] is not None and (left := connection._con) is not None:  # type: ignore[attr-defined]  # noqa: SLF001  # whom the proxy stands for
            self._left.add(left)
        await super().release(connection, timeout=timeout)

    async def _clear(self, connection: Connection) -> None:
        """No session state is ever set (a transaction that was left open is rolled back by its own block), so nothing is reset:
        asyncpg would spend a round trip on it after every use.

        Only where an exception gave the connection back a statement may have been prepared and not run. To the server that is an
        unfinished transaction, in which the next one could not begin; anything finishes it.
        """
        if connection in self._left:
            self._left.discard(connection)
            await connection.execute("SELECT")


def _was_canceled(error: BaseException | None) -> bool:
    """Whether it is a cancellation, or was raised on the way out of one."""
    while error is not None and not isinstance(error, asyncio.CancelledError):
        error = error.__context__
    return error is not None


def _cancellations() -> int:
    """How often the running task was told to end."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


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
