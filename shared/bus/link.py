"""A connection to RabbitMQ that is made again when it is lost.

aio-pika's own robust connection restores channels and consumers behind our back, and one that it could not restore is silent.
Here whoever uses a channel sees it end, and opens the next one.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Final

import aio_pika
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError
from yarl import URL

from shared.bus.interface import BusError, Uncertain

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS: Final = 5
"""A dead peer is found after 3 x (5 + 1) s; by aiormq's default it would be three minutes."""
FIRST_CONNECT_SECONDS: Final = 15.0
HANDSHAKE_SECONDS: Final = 5.0
SETUP_SECONDS: Final = 10.0
"""For a channel's declarations. A call given up closes its channel, so a channel is bounded as a whole, not each call."""
RECONNECT_SECONDS: Final = (1.0, 3.0)
"""At random between these, so that all replicas do not come at once."""

# ChannelInvalidStateError is a RuntimeError and not an AMQPError; TimeoutError is an OSError.
_LOSSES: Final = (AMQPError, ChannelInvalidStateError, OSError)
_CLOSED: Final = ("> closed", "Connection was not opened", "the handler is closed")
"""How RuntimeErrors about something closed end: of aiormq (7.2), aio-pika (10.2) and uvloop (0.23). Others are bugs."""


@contextmanager
def losses_as(raised: type[BusError]) -> Iterator[None]:
    """Turn what aio-pika raises when a connection or channel goes into `raised`.

    That includes a CancelledError that nobody asked for: it is how calls pending on a connection end when that is found dead.
    """
    try:
        yield
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise raised("connection lost") from error
    except Exception as error:
        if not _is_loss(error):
            raise
        raise raised(type(error).__name__) from error


def _is_loss(error: Exception) -> bool:
    if type(error) is RuntimeError:
        return str(error).endswith(_CLOSED)
    if type(error) is Exception:
        # aiormq's reader may see the broker's end between two frames, which it takes for no error: it ends what is pending so.
        return not error.args
    return isinstance(error, _LOSSES)


class Link:
    """One connection, kept by a task of its own. `purpose` is how the broker's operators see it named."""

    def __init__(self, url: str, purpose: str) -> None:
        parsed = URL(url)
        self._url = parsed if "heartbeat" in parsed.query else parsed.update_query(heartbeat=HEARTBEAT_SECONDS)
        self._purpose = purpose
        self._connection: AbstractConnection | None = None
        self._connected = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str, purpose: str) -> AsyncIterator[Link]:
        """Connected; raises `Uncertain` where that takes longer than `FIRST_CONNECT_SECONDS`."""
        link = cls(url, purpose)
        keeper = asyncio.create_task(link._keep(), name=f"bus.{purpose}")
        try:
            try:
                async with asyncio.timeout(FIRST_CONNECT_SECONDS):
                    await link._connected.wait()
            except TimeoutError:
                raise Uncertain(f"no broker at {link._url.host}:{link._url.port} lets us in; its log says why") from None
            yield link
        finally:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper

    async def connection(self) -> AbstractConnection:
        """Waits for one as long as it takes; bound it."""
        while True:
            await self._connected.wait()
            if self._connection is not None and not _is_closed(self._connection):
                return self._connection
            await asyncio.sleep(0)  # it is gone, and its keeper has not noticed yet

    async def writable(self) -> None:
        """Like `connection`, and waits too while the broker, short of memory or disk, blocks those who publish."""
        connection = await self.connection()
        assert connection.transport is not None
        await connection.transport.ready()

    @asynccontextmanager
    async def channel(self, seconds: float = SETUP_SECONDS) -> AsyncIterator[AbstractChannel]:
        """For calls whose failure, by AMQP's rules, closes the channel. Raises `Uncertain` where the connection goes, or they take
        longer than `seconds`."""
        with losses_as(Uncertain):
            async with asyncio.timeout(seconds):
                connection = await self.connection()
                channel = await connection.channel(publisher_confirms=False)
                try:
                    yield channel
                finally:
                    await quietly(channel.close())

    async def _keep(self) -> None:
        try:
            while True:
                try:
                    self._connection = await aio_pika.connect(
                        self._url,
                        timeout=HANDSHAKE_SECONDS,
                        client_properties={"connection_name": f"chasqui {self._purpose}"},
                    )
                except Exception as error:  # noqa: BLE001  # whatever it is, without this task there would never be a connection again
                    log.warning("bus.not_connected", purpose=self._purpose, error=type(error).__name__)
                else:
                    self._connected.set()
                    log.info("bus.connected", purpose=self._purpose)
                    await asyncio.wait([_closing(self._connection)])
                    self._connected.clear()
                    log.warning("bus.disconnected", purpose=self._purpose)
                await pause()
        finally:
            if self._connection is not None:
                await quietly(self._connection.close())


async def pause() -> None:
    """Before the next try."""
    await asyncio.sleep(random.uniform(*RECONNECT_SECONDS))  # noqa: S311  # spreads load, guards nothing


async def quietly(ending: Awaitable[object]) -> None:
    """Await the end of a channel or consumer, which may be gone already, for a bounded time."""
    with contextlib.suppress(BusError), losses_as(Uncertain):
        async with asyncio.timeout(HANDSHAKE_SECONDS):
            await ending


def _is_closed(connection: AbstractConnection) -> bool:
    # Each publish asks, so not by `_closing`: every future that aiormq hands out there stays until the connection ends.
    assert connection.transport is not None
    return connection.transport.connection.is_closed


def _closing(connection: AbstractConnection) -> asyncio.Future[object]:
    """Done when the connection has ended, for whatever reason."""
    assert connection.transport is not None
    return connection.transport.connection.closing
