"""Forms out: signed, one a POST, tried again a few times where the receiver is away or sick. Twilio itself is less patient; a
platform under test may be restarting. Order is promised to nobody.
"""

from __future__ import annotations

import asyncio
from typing import Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
import structlog

from services.sandbox.twilio.wire import sign
from shared.bus.interface import StopSignal
from shared.run import Stage

log = structlog.get_logger(__name__)

CONCURRENCY: Final = 16
BACKLOG: Final = 100_000
WAITS_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each further try."""


class Form(NamedTuple):
    """One POST that is to be made."""

    url: str
    auth_token: str
    fields: dict[str, str]


class Callbacks:
    """A component: forms given to `send` leave while it runs, and wait while it does not."""

    name = "sandbox.twilio_callbacks"
    stage = Stage.RELAY

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._waiting: asyncio.Queue[Form] = asyncio.Queue(BACKLOG)
        self.delivered = 0
        self.dropped = 0

    def send(self, form: Form) -> None:
        """Beyond the backlog it is dropped and counted."""
        try:
            self._waiting.put_nowait(form)
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self, stop: StopSignal) -> None:
        """Send until `stop`; what waits is lost then: the sandbox keeps nothing."""
        async with asyncio.TaskGroup() as group:
            posters = [group.create_task(self._post_all(stop), name=f"sandbox.twilio.{n}") for n in range(CONCURRENCY)]
            await stop.wait()
            for poster in posters:
                poster.cancel()

    async def _post_all(self, stop: StopSignal) -> None:
        while not stop.is_set():
            await self._deliver(await self._waiting.get(), stop)

    async def _deliver(self, form: Form, stop: StopSignal) -> None:
        body = urlencode(form.fields)
        headers = {
            "Content-Type": "application/x-www-form-urlencoded; charset=UTF-8",
            "User-Agent": "TwilioProxy/1.1",
            "X-Twilio-Signature": sign(form.auth_token, form.url, form.fields),
        }
        status: int | None = None
        for wait in (*WAITS_SECONDS, None):
            status = await self._post(form.url, body, headers)
            if status is not None and status < 300:
                self.delivered += 1
                return
            if (status is not None and status < 500) or wait is None or await _stopped_within(stop, wait):
                break
        self.dropped += 1
        log.warning("twilio_callbacks.given_up", status=status)

    async def _post(self, url: str, body: str, headers: dict[str, str]) -> int | None:
        """The HTTP status of the answer; None where none came."""
        try:
            async with self._session.post(url, data=body, headers=headers, allow_redirects=False) as response:
                return response.status
        except (aiohttp.ClientError, TimeoutError, OSError):
            return None


async def _stopped_within(stop: StopSignal, seconds: float) -> bool:
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True
