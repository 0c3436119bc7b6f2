"""The callbacks' circuit breakers: whoever is away or ill again and again is left alone for a minute, by all replicas together."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from services.sender.callbacks.post import TOTAL_SECONDS
from shared.clock import Clock
from shared.limits.breaker import BreakerPolicy
from shared.limits.breakers import Breakers

POLICY: Final = BreakerPolicy(threshold=3, window_seconds=3 * TOTAL_SECONDS, lease_seconds=2 * TOTAL_SECONDS + 10.0)
"""So that it opens for those too that keep every post waiting for all of its time, of whom there is one after another."""
WATCHED_SECONDS: Final = 600.0
"""How long a callback has a circuit after a failure. The others have none: each is asked of Redis several times a second, beside
the limits of the sending, and callbacks may be many."""


class Circuits:
    """Those of the callbacks that have failed lately. Callbacks are named by their ids."""

    def __init__(self, breakers: Breakers, clock: Clock) -> None:
        self._breakers = breakers
        self._clock = clock
        self._watched: dict[str, float] = {}

    def watch(self, callback_id: str) -> None:
        self._watched.setdefault(callback_id, self._clock.monotonic())

    async def learn(self, callback_ids: Collection[str]) -> None:
        """How those of failing callbacks stand, of which this process may not have heard."""
        for one in callback_ids:
            self.watch(one)
        await self._breakers.learn([_key(one) for one in callback_ids])

    def forget_idle(self) -> None:
        long_ago = self._clock.monotonic() - WATCHED_SECONDS
        while self._watched and next(iter(self._watched.values())) < long_ago:
            del self._watched[next(iter(self._watched))]

    def wait(self, callback_id: str) -> float:
        """0.0 where its circuit lets posts through, be it as probes, or it has none; else for how many seconds it does not."""
        return self._breakers.wait(_key(callback_id)) if callback_id in self._watched else 0.0

    def note(self, callback_id: str, *, is_sick: bool, is_asked: bool = False) -> None:
        """How a post has ended. One that was asked for by hand is nobody's probe: it counts while the circuit is closed only."""
        if is_sick:
            self._watched.pop(callback_id, None)  # the latest stand last
            self._watched[callback_id] = self._clock.monotonic()
        if callback_id not in self._watched:
            return
        key = _key(callback_id)
        if not is_asked or (self._breakers.wait(key) == 0.0 and not self._breakers.is_probing(key)):
            self._breakers.note(key, ok=not is_sick)

    async def release(self, callback_id: str) -> None:
        """It has answered somebody who asked by hand, or is another one now: probes go at once."""
        await self._breakers.release(_key(callback_id))

    async def take_probes(self, rooms: dict[str, int]) -> set[str]:
        """Where a circuit is half-open one post goes, as a probe, if it may; the callbacks whose probes were taken."""
        probes: set[str] = set()
        for one in list(rooms):
            if one not in self._watched or not self._breakers.is_probing(_key(one)):
                continue
            if await self._breakers.admit(_key(one)):
                rooms[one] = 1
                probes.add(one)
            else:
                del rooms[one]
        return probes

    def give_up(self, probes: Iterable[str]) -> None:
        """They are not made."""
        for one in probes:
            self._breakers.give_up(_key(one))


def _key(callback_id: str) -> str:
    return f"callback:{callback_id}"
