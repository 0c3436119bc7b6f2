"""Take released messages: see whether their way is free, find room in their limits, claim, hand over to be called. Everything is
done in bulk, one round trip a step.

A released message is in the bus's custody until its attempt is claimed, then in this service's table; so the delivery is
acknowledged as soon as the attempts are claimed, and a slow provider holds no delivery in hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.sender.caller import Job
from services.sender.calls import Calls
from services.sender.clearance import NUMBER_SLOW, Clearance, Obstacle, gate_of
from services.sender.domain.attempt import AttemptId
from services.sender.limits import GLOBAL_CODE, HOUR_CODE, TENANT_CODE, TIER_CODE
from services.sender.numbers import Number, Numbers
from services.sender.restored import Fence
from services.sender.store import attempts
from services.sender.store.attempts import PutDown
from services.sender.tell import deferral_of, event_of
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.errors import BatchFailed, Retry
from shared.events.catalogue import MessageReleased
from shared.events.values import Gate, Tier
from shared.limits.limiter import Limiter, Refused
from shared.telemetry.catalogue import ATTEMPTS_UNMADE_TOTAL
from shared.telemetry.metrics import Metrics

CROWDED_SECONDS: Final = 4.0
"""Less than the patience of a job, and more than the scheduler has under way of a number at its full rate."""
SHORTEST_GATE_SECONDS: Final = 0.1
"""About the way of a message back to the scheduler: a gate that is open again before it was closed holds nothing."""
LEASE_SECONDS: Final = 60.0
"""Longer than the patience of a job that gets no slot (`calls`) and a call together."""


class Delivery:
    """From released to claimed."""

    def __init__(
        self,
        outbox: Outbox,
        numbers: Numbers,
        clearance: Clearance,
        limiter: Limiter,
        calls: Calls,
        metrics: Metrics,
        clock: Clock,
        fence: Fence,
    ) -> None:
        self._outbox = outbox
        self._numbers = numbers
        self._clearance = clearance
        self._limiter = limiter
        self._calls = calls
        self._metrics = metrics
        self._clock = clock
        self._fence = fence

    async def take(self, released: Sequence[MessageReleased]) -> None:
        """Have these sent; returns when their attempts are claimed. An attempt told before is not sent again: where its outcome is
        known, it is told again. What may have been sent before the database was restored is not sent (`restored`).

        Raises `Retry` while this process is starting or stopping, `BatchFailed` for numbers that are not known yet.
        """
        if not self._calls.is_open:
            raise Retry("sender.not_running", after=1, counted=False)
        released = await self._fence.pass_through(released)
        numbers = await self._numbers.of({event.number_id for event in released})
        now = self._clock.now()
        put_down: list[PutDown] = []
        clear: list[tuple[MessageReleased, Number]] = []
        for event in sorted(released, key=lambda event: event.tier):
            if (number := numbers.get(event.number_id)) is None:
                continue
            obstacle = self._clearance.obstacle(event, number, now) or self._crowd(number, now)
            if obstacle is None:
                clear.append((event, number))
            else:
                put_down.append(PutDown(event, *obstacle))
        held = await self._calls.hold(
            [Job(event, AttemptId(event.message_id, event.attempt), number) for event, number in clear]
        )
        claimed: list[Job] = []
        try:
            granted, put_down = await self._find_room(held, put_down)
            claimed = await self._claim(granted, put_down)
        finally:
            mine = {job.attempt for job in claimed}
            self._calls.let_go([job.attempt for job in held if job.attempt not in mine])
        self._calls.begin(claimed)
        if len(numbers) < len({event.number_id for event in released}):
            raise BatchFailed(
                {e.event_id: Retry("number.not_yet_known", after=1) for e in released if e.number_id not in numbers}
            )

    def _crowd(self, number: Number, now: datetime) -> Obstacle | None:
        """More than the number can send in time waits here already: it is far slower than its record says. What is added would only
        take the room of others."""
        backlog = self._calls.backlog_seconds(number.limits.line)
        if backlog < CROWDED_SECONDS:
            return None
        until = now + timedelta(seconds=backlog / 2)
        return Obstacle(NUMBER_SLOW, until, gate_of(number.number_id, until))

    async def _find_room(self, held: Sequence[Job], put_down: list[PutDown]) -> tuple[list[Job], list[PutDown]]:
        """Ask the limits, most urgent first: the jobs that may leave, and all that must wait."""
        if not held:
            return [], put_down
        asks = [job.number.limits.ask(job.event) for job in held]
        verdicts = await self._limiter.reserve(asks)
        now = self._clock.now()
        granted: list[Job] = []
        gated: set[tuple[str, Tier]] = set()
        for job, ask, verdict in zip(held, asks, verdicts, strict=True):
            if not isinstance(verdict, Refused):
                granted.append(job)
                continue
            step = min((1 / limit.rate.per_second for limit in ask.limits if limit.code == verdict.code), default=0.0)
            until = now + timedelta(seconds=min(max(step, SHORTEST_GATE_SECONDS), verdict.retry_seconds))
            gate = _gate(verdict.code, job, until)
            if gate is not None and (gate.scope, gate.tier) in gated:
                gate = None  # one a batch is enough
            elif gate is not None:
                gated.add((gate.scope, gate.tier))
            put_down.append(PutDown(job.event, verdict.code, now + timedelta(seconds=verdict.retry_seconds), gate))
        return granted, put_down

    async def _claim(self, jobs: Sequence[Job], put_down: Sequence[PutDown]) -> list[Job]:
        """Write down all attempts; returns the jobs that are this process's to do. Attempts written down before are answered from
        the table; those this process holds will be answered anyway."""
        if not jobs and not put_down:
            return []
        instance = self._calls.instance
        claimed: set[AttemptId] = set()
        new: list[PutDown] = []
        async with self._outbox.transaction() as unit:
            if jobs:
                events = [job.event for job in jobs]
                claimed = await attempts.claim(unit.connection, events, instance=instance, lease_seconds=LEASE_SECONDS)
            others = [job.attempt for job in jobs if job.attempt not in claimed]
            if put_down:
                deferred = await attempts.defer(unit.connection, put_down, instance=instance)
                ids = [AttemptId(down.event.message_id, down.event.attempt) for down in put_down]
                new = [down for down, one in zip(put_down, ids, strict=True) if one in deferred]
                unit.emit(*map(deferral_of, new))
                others += [one for one in ids if one not in deferred]
            if others:
                unit.emit(*(event_of(ended) for ended in await attempts.outcomes(unit.connection, others)))
        for code, times in Counter(down.code for down in new).items():
            self._metrics.count(ATTEMPTS_UNMADE_TOTAL, code, by=times)
        return [job for job in jobs if job.attempt in claimed]


def _gate(code: str, job: Job, until: datetime) -> Gate | None:
    """What else is refused by the same limit: for a pair or a user, nothing that is known by name."""
    tier = job.event.tier
    if code == TIER_CODE:  # the others have limits of their own
        return Gate(scope=job.event.number_id, tier=tier, last_tier=tier, until=until)
    scope = {HOUR_CODE: job.event.number_id, TENANT_CODE: job.event.tenant_id, GLOBAL_CODE: "*"}.get(code)
    return None if scope is None else Gate(scope=scope, tier=tier, until=until)
