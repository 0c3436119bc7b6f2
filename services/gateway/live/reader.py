"""One connection that reads live: what has come for it and is not written yet, within bounds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Final

from services.gateway.live.streams import Entry

MOST_ENTRIES: Final = 1_000
MOST_BYTES: Final = 4 * 1024 * 1024


class End(Enum):
    """Why a connection ends. Whoever reads may come again at once, and takes up where it was, but for `LOST`."""

    SLOW = "slow"
    """More came than it took."""
    LOST = "lost"
    """What was kept is gone: it will be told to begin anew."""
    AWAY = "away"
    """Redis is away."""
    DRAINING = "draining"
    """This process stops."""
    LEFT = "left"
    """It left by itself."""


class Reader:
    """`start` is the position after which it has to be told everything, `run` that of Redis (`streams`)."""

    def __init__(self, start: str, run: str, *, is_reset: bool, is_gone: Callable[[], bool]) -> None:
        self.start = start
        self.run = run
        self.is_reset = is_reset
        """True where it wanted to go on from a place that is not known any more."""
        self.is_gone = is_gone
        """True once the other side has closed its connection, which who writes to it learns at the next heartbeat only."""
        self.ended: End | None = None
        self._waiting: deque[Entry] = deque()
        self._bytes = 0
        self._woken = asyncio.Event()

    def offer(self, entry: Entry) -> None:
        """Something new. One that does not keep up ends: holding more for it would be at the others' cost."""
        if self.ended is not None:
            return
        self._waiting.append(entry)
        self._bytes += len(entry.body)
        if len(self._waiting) > MOST_ENTRIES or self._bytes > MOST_BYTES:
            self.end(End.SLOW)
        self._woken.set()

    def end(self, why: End) -> None:
        """Nothing more comes; the first reason counts."""
        self.ended = self.ended or why
        self._waiting.clear()
        self._woken.set()

    async def next(self, seconds: float) -> list[Entry]:
        """What has come; empty where nothing has for so long, or it has ended."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return []
        self._woken.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return taken
