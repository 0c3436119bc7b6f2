"""Publishing to RabbitMQ so that the answer can be believed: confirmed, mandatory, persistent, within a bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from aio_pika import DeliveryMode, Message
from aio_pika.abc import AbstractChannel
from aio_pika.exceptions import DeliveryError

from shared.bus.interface import Refused, Uncertain
from shared.bus.link import Link, losses_as

PUBLISH_SECONDS: Final = 5.0
IN_FLIGHT: Final = 50
"""Publishes whose confirm is awaited at once; more gain nothing (measured: reliability notes, 13,000/s at 50)."""


class Publisher:
    """One long-lived channel on a connection that nobody else uses."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._channel: AbstractChannel | None = None
        self._opening = asyncio.Lock()
        self._in_flight = asyncio.Semaphore(IN_FLIGHT)

    async def publish(
        self,
        body: bytes,
        *,
        exchange: str,
        key: str,
        subject: str,
        headers: Mapping[str, str | int] | None = None,
        expires_seconds: float | None = None,
    ) -> None:
        """Return when a queue has it, on a majority of its nodes. Takes at most `PUBLISH_SECONDS`.

        Raises `Refused` (in no queue: nobody is bound to `key`, the broker said no, or we never got to send it) or `Uncertain`.
        """
        message = Message(
            body,
            content_type="application/json",
            delivery_mode=DeliveryMode.PERSISTENT,
            type=subject,
            headers=dict(headers) if headers else None,
            expiration=expires_seconds,
        )
        sent = False
        try:
            with losses_as(Uncertain):
                async with asyncio.timeout(PUBLISH_SECONDS), self._in_flight:
                    channel = await self._open_channel()
                    target = await channel.get_exchange(exchange, ensure=False)
                    sent = True
                    await target.publish(message, key, mandatory=True)
        except Uncertain as error:
            if isinstance(error.__cause__, DeliveryError):  # a negative confirm, or a return: no queue is bound
                raise Refused(str(error)) from error
            if not sent:
                raise Refused("no broker takes messages now") from error
            raise

    async def ready(self) -> None:
        """Return where the broker takes messages at this moment. Raises `Refused`."""
        try:
            with losses_as(Uncertain):
                async with asyncio.timeout(PUBLISH_SECONDS):
                    await self._open_channel()
        except Uncertain as error:
            raise Refused("no broker takes messages now") from error

    async def _open_channel(self) -> AbstractChannel:
        # Not in the lock: a connection that is lost while the broker blocks it is waited for to the end of one's time.
        await self._link.writable()
        async with self._opening:
            if self._channel is None or self._channel.is_closed:
                # In the lock: while that was waited for, the connection may have gone and another come.
                connection = await self._link.connection()
                # Without on_return_raises a message for nobody counts as published.
                self._channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            return self._channel
