"""The connections to Redis or Valkey of a service that can do without it for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, Final

from redis.asyncio import BlockingConnectionPool, Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from shared.config import RedisSettings


class _Noticing(AbstractConnection):
    """A connection that notices that its other end is gone.

    redis-py 8 hands out one that was cut while nobody used it: what it looks at before does not show a reset, and an end it
    takes for something to read, perhaps a notice of maintenance.
    """

    async def connect(self) -> None:
        """The pool calls it before it gives the connection to anybody."""
        reader, writer = self._reader, self._writer
        if reader is not None and writer is not None:
            if not writer.is_closing() and not reader.at_eof():
                return
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]  # untyped there

    async def send_packed_command(self, command: bytes | str | Iterable[bytes], check_health: bool = True) -> None:  # noqa: FBT001, FBT002  # as there
        try:
            await super().send_packed_command(command, check_health)
        except RuntimeError as error:  # uvloop's, where it was cut while somebody had it
            if not str(error).endswith("the handler is closed"):
                raise
            raise RedisConnectionError(f"Error while writing to socket. {error}.") from error


class _NoticingTcp(_Noticing, Connection):
    pass


class _NoticingTls(_Noticing, SSLConnection):
    pass


class _NoticingUnix(_Noticing, UnixDomainSocketConnection):
    pass


_NOTICING: Final[dict[type[AbstractConnection], type[AbstractConnection]]] = {
    Connection: _NoticingTcp,
    SSLConnection: _NoticingTls,
    UnixDomainSocketConnection: _NoticingUnix,
}
"""By the class that the scheme of a URL stands for."""


class _Ending(ConnectionPool):
    """A pool that nobody gets a connection of once it is closed.

    redis-py 8 loses cancellations that come while it connects. Whoever goes on because of that would connect anew, or have just
    connected, after everything was closed, and leave that connection open.
    """

    has_ended: bool = False

    def __init__(self, connection_class: type[AbstractConnection] = Connection, **options: Any) -> None:
        super().__init__(connection_class=_NOTICING[connection_class], **options)

    async def get_connection(self, *names: Any, **options: Any) -> AbstractConnection:
        self._refuse_if_ended()
        try:
            connection: AbstractConnection = await super().get_connection(*names, **options)  # type: ignore[no-untyped-call]  # untyped there
        finally:
            if self.has_ended:
                await self.disconnect()
        try:
            self._refuse_if_ended()
        except RedisConnectionError:
            await self.release(connection)
            raise
        return connection

    def _refuse_if_ended(self) -> None:
        if self.has_ended:
            raise RedisConnectionError("these connections are closed")


class _BlockingEnding(_Ending, BlockingConnectionPool):
    """The same, where callers wait for a connection."""


SOON_SECONDS: Final = 0.2
PATIENT_SECONDS: Final = 2.0
"""For whoever has no other way than Redis: a machine that is short of breath is not one that is away."""
_CONNECT_SECONDS: Final = 0.5


@asynccontextmanager
async def open_redis(settings: RedisSettings, *, seconds: float = SOON_SECONDS) -> AsyncIterator[Redis]:
    """Connects when it is asked something, not now. It answers within `seconds` or fails, and never retries: whoever asks has
    another way, or should be told."""
    pool = _BlockingEnding.from_url(
        settings.url,
        socket_timeout=seconds,
        socket_connect_timeout=max(seconds, _CONNECT_SECONDS),
        retry=Retry(NoBackoff(), 0),
        max_connections=20,
        timeout=max(seconds, _CONNECT_SECONDS),
    )
    async with _open(pool) as redis:
        yield redis


@asynccontextmanager
async def open_waiting_redis(settings: RedisSettings, seconds: float) -> AsyncIterator[Redis]:
    """As `open_redis`, for questions that wait up to `seconds` for something new."""
    pool = _Ending.from_url(
        settings.url,
        socket_timeout=seconds + PATIENT_SECONDS,
        socket_connect_timeout=PATIENT_SECONDS,
        retry=Retry(NoBackoff(), 0),
        max_connections=4,
    )
    async with _open(pool) as redis:
        yield redis


@asynccontextmanager
async def _open(pool: _Ending) -> AsyncIterator[Redis]:
    redis = Redis.from_pool(pool)
    try:
        yield redis
    finally:
        pool.has_ended = True
        await redis.aclose()
