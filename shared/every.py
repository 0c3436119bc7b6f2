"""Work on the clock: an action repeated until the process stops, that outlives a database that is away."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from shared.bus.interface import StopSignal
from shared.run import Stage
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

UNAVAILABLE_SECONDS: Final = 1.0
JITTER: Final = 0.1


class Every:
    """Runs `action`, waits `seconds` (±10 %, so that replicas spread), and so on. An action that returns True found work and runs
    again at once; `wake` cuts the wait short. An unavailable dependency is waited for; any other exception ends the process.
    """

    stage = Stage.WORK

    def __init__(self, name: str, seconds: float, action: Callable[[], Awaitable[bool | None]]) -> None:
        self.name = name
        self._seconds = seconds
        self._action = action
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There is work now."""
        self._wake.set()

    async def run(self, stop: StopSignal) -> None:
        async with asyncio.TaskGroup() as group:
            waker = group.create_task(self._wake_on(stop), name=f"{self.name}.stop")
            while not stop.is_set():
                self._wake.clear()
                await self._once()
            waker.cancel()

    async def _wake_on(self, stop: StopSignal) -> None:
        await stop.wait()
        self._wake.set()

    async def _once(self) -> None:
        wait = self._seconds * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  # spreads load, guards nothing
        try:
            if await self._action():
                return
        except Exception as error:
            if not is_unavailable(error):
                raise
            log.warning("job.unavailable", job=self.name, error=type(error).__name__)
            wait = UNAVAILABLE_SECONDS
        try:
            async with asyncio.timeout(wait):
                await self._wake.wait()
        except TimeoutError:
            pass
