"""The circuit breakers of a process: answered from memory for every message, agreed with the other replicas five times a second."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import structlog
from redis.asyncio import Redis
from redis.exceptions import RedisError

from shared.bus.interface import StopSignal
from shared.clock import Clock
from shared.every import Every
from shared.limits.breaker import BreakerPolicy, Report, State
from shared.limits.breaker_mirror import Mirror
from shared.limits.breaker_redis import SharedCircuits
from shared.run import Stage

log = structlog.get_logger(__name__)

SYNC_SECONDS: Final = 0.2
IDLE_SECONDS: Final = 3_600.0


@dataclass(slots=True)
class _Known:
    mirror: Mirror
    used_at: int
    used: bool = True
    told: State = State.CLOSED


class Breakers:
    """A circuit for each key, such as `pn:106540352242922` or `host:https://graph.facebook.com`; unknown keys are closed.

    Before a call: `wait(key)`; where that is 0.0, `await admit(key)`, which needs calling only where `is_probing(key)`. After it:
    `note(key, ok)`, where ok means that the provider answered, be it with a refusal; or `give_up(key)` where an admitted call was
    not made. A call that passes several circuits asks and tells each.

    While Redis is away each process judges by its own calls, from where the circuits stood: what is open stays open for its time,
    then each process makes probes of its own. Redis back, and empty, changes nothing of that. Logs `breaker.opened`,
    `breaker.half_open` and `breaker.closed` as this process learns of it.
    """

    name = "breakers"
    stage = Stage.RELAY
    """Ends after the sends in flight, which still ask and tell."""

    def __init__(self, redis: Redis, policy: BreakerPolicy, clock: Clock, *, now_ms: Callable[[], int] | None = None) -> None:
        """`now_ms` replaces the server's clock, in tests only."""
        self._shared = SharedCircuits(redis, policy, now_ms=now_ms)
        self._policy = policy
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._every = Every(self.name, SYNC_SECONDS, self.sync)
        self._exchanging = asyncio.Lock()
        self._is_away = False
        self._instance = secrets.token_hex(6)
        self._probes = 0

    async def run(self, stop: StopSignal) -> None:
        await self._every.run(stop)
        await self.sync()  # the last probes' answers

    def wait(self, key: str) -> float:
        """0.0: it may be called, or probed. Else in how many seconds to come again."""
        known = self._use(key)
        return 0.0 if known.mirror.is_closed else known.mirror.wait_ms(self._now()) / 1_000

    def is_probing(self, key: str) -> bool:
        """Whether a call must be admitted first: it would be a probe."""
        known = self._use(key)
        return not known.mirror.is_closed and known.mirror.state(self._now()) is State.HALF_OPEN

    async def admit(self, key: str) -> bool:
        """Take a probe, one round trip. True also where the circuit is closed, False where it is open. If True, `note` or `give_up`
        must follow within the lease's time; else the probe goes to another."""
        mirror, now = self._use(key).mirror, self._now()
        state = mirror.state(now)
        if state is not State.HALF_OPEN:
            return state is State.CLOSED
        self._probes += 1
        token = f"{self._instance}.{self._probes}"
        if not mirror.lease(token, now):
            return False
        if mirror.needs_leave(now) and not await self._ask(key, mirror, token):
            mirror.give_back(token)
            return mirror.is_closed
        mirror.hold(token, self._now())
        return True

    def are_closed(self, keys: Iterable[str]) -> bool:
        """Whether a call that passes all of these may go and would be no probe. What `wait` and `is_probing` say of each, the short
        way, for every message."""
        for key in keys:
            known = self._known.get(key) or self._use(key)
            known.used = True
            if not known.mirror.is_closed:
                return False
        return True

    def answered(self, keys: Iterable[str]) -> None:
        """`note` of a call that passed all of these and was answered."""
        now = self._now()
        for key in keys:
            known = self._known.get(key) or self._use(key)
            known.used = True
            if known.mirror.note_answer(now) and known.mirror.has_news:
                self._every.wake()

    def note(self, key: str, ok: bool) -> None:  # noqa: FBT001  # its one argument; said for every message
        """How a call went: not ok is what says that the provider itself is ill (5xx, time-out, no connection)."""
        mirror = self._use(key).mirror
        mirror.note(ok=ok, now=self._now())
        if mirror.has_news:
            self._every.wake()

    def give_up(self, key: str) -> None:
        """The call admitted last is not made."""
        mirror = self._use(key).mirror
        mirror.give_up()
        if mirror.has_news:
            self._every.wake()

    async def release(self, key: str) -> None:
        """It has answered a call that asked nobody's leave: where it is open, probing begins at once, for all replicas. One round
        trip."""
        mirror = self._use(key).mirror
        mirror.release(self._now())
        await self._exchange({key: mirror.take_report()})

    async def learn(self, keys: Collection[str]) -> None:
        """How those stand that are not known yet, so that `wait` says it: one round trip, none where all are known."""
        unknown = {key: Report() for key in keys if key not in self._known}
        for key in unknown:
            self._use(key)
        if unknown and not self._is_away:
            await self._exchange(unknown)

    def states(self) -> dict[str, State]:
        """Of every known key, as this process sees it."""
        now = self._now()
        return {key: known.mirror.state(now) for key, known in self._known.items()}

    async def sync(self) -> None:
        """Report what was noted, learn how every known circuit stands."""
        self._forget()
        reports = {key: known.mirror.take_report() for key, known in self._known.items()}
        if reports:
            await self._exchange(reports)
        now = self._now()
        for key, known in self._known.items():
            state = known.mirror.state(now)
            if state is not known.told:
                _tell(key, state, known.mirror.wait_ms(now))
                known.told = state

    async def _ask(self, key: str, mirror: Mirror, token: str) -> bool:
        """The fleet's leave for a probe; the own circuit's where Redis turns out to be away."""
        given = await self._exchange({key: Report(wanted=token)})
        if given is None:
            mirror.give_back(token)
            return mirror.lease(token, self._now())
        return key in given

    async def _exchange(self, reports: Mapping[str, Report]) -> set[str] | None:
        """The keys whose wanted lease is given; None where Redis is away. One exchange at a time, so that what is learned is never
        older than what is known."""
        async with self._exchanging:
            try:
                views = await self._shared.exchange(reports)
            except (RedisError, OSError, TimeoutError) as error:
                if not self._is_away:
                    log.warning("breakers.redis_unavailable", error=type(error).__name__)
                self._is_away = True
                for known in self._known.values():
                    known.mirror.lose_fleet(self._now())
                return None
            if self._is_away:
                log.info("breakers.redis_back")
            self._is_away = False
            now = self._now()
            for key, view in views.items():
                if key in self._known:
                    self._known[key].mirror.learn(view, now)
            return {key for key, view in views.items() if view.given}

    def _use(self, key: str) -> _Known:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known(Mirror(self._policy), self._now())
            self._every.wake()  # the others may know that it is open
        known.used = True
        return known

    def _forget(self) -> None:
        """Keys nobody has asked for lately."""
        now = self._now()
        for key, known in list(self._known.items()):
            if known.used:
                known.used, known.used_at = False, now
            elif now - known.used_at >= IDLE_SECONDS * 1_000:
                del self._known[key]

    def _now(self) -> int:
        return round(self._clock.monotonic() * 1_000)


def _tell(key: str, state: State, wait_ms: int) -> None:
    if state is State.OPEN:
        log.warning("breaker.opened", key=key, seconds=wait_ms / 1_000)
    elif state is State.HALF_OPEN:
        log.info("breaker.half_open", key=key)
    else:
        log.info("breaker.closed", key=key)
