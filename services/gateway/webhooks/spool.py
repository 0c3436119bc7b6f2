"""Payloads in the bus's custody while the database is away, and back from there."""

from __future__ import annotations

import asyncio
from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Final

import structlog

from services.gateway.store import webhooks
from services.gateway.store.webhooks import Payload
from services.gateway.webhooks.reach import Reach
from shared.bus.interface import Bus, BusError
from shared.clock import Clock
from shared.db.pool import Pool
from shared.errors import Retry
from shared.events.catalogue import WebhookSpooled
from shared.events.codec import encode

log = structlog.get_logger(__name__)

CUSTODY_SECONDS: Final = 2.0
"""Longest wait for the bus: the provider waits too."""
SILENT_SECONDS: Final = 1.0
"""A bus that did not answer is not asked again for so long, so that it is not waited for by one batch after the other."""
BACK_SECONDS: Final = 10.0
"""What has come back waits here so long for the database, instead of going round by the broker every second."""


class Spool:
    """`bus` must keep what it takes beyond the life of this process."""

    def __init__(self, bus: Bus, pool: Pool, reach: Reach, clock: Clock, wake_reader: Callable[[], None]) -> None:
        self._bus = bus
        self._pool = pool
        self._reach = reach
        self._clock = clock
        self._wake_reader = wake_reader
        self._silent_until = 0.0

    async def take(self, payloads: Sequence[Payload]) -> bool:
        """Give the bus custody of them; False where it does not take them, or not surely."""
        if self._clock.monotonic() < self._silent_until:
            return False
        now = self._clock.now()
        events = [
            WebhookSpooled(tenant_id=tenant_id, traceparent=traceparent, body=b64encode(body).decode(), came_at=now)
            for tenant_id, body, traceparent in payloads
        ]
        try:
            async with asyncio.timeout(CUSTODY_SECONDS):
                for batch in encode(events):
                    await self._bus.publish(batch)
        except (BusError, TimeoutError) as error:
            if isinstance(error, TimeoutError):
                self._silent_until = self._clock.monotonic() + SILENT_SECONDS
            log.warning("webhook.not_spooled", payloads=len(payloads), error=type(error).__name__)
            return False
        return True

    async def check(self) -> None:
        """Raises `BusError` where the bus does not answer."""
        await self._bus.check()

    async def bring_back(self, events: Sequence[WebhookSpooled]) -> None:
        """Put them where they would have gone. Twice stores them twice, and what is read twice is told once.

        Raises `Retry` where the database stays away.
        """
        if not await self._reach.until_back(BACK_SECONDS):
            raise Retry("database.away", counted=False)
        payloads = [(event.tenant_id, b64decode(event.body), event.traceparent) for event in events]
        await webhooks.insert_spooled(self._pool, payloads, [event.came_at for event in events])
        self._wake_reader()
