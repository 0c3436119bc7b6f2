"""Take released messages: pace, claim, hand over to be called. Everything is done in bulk, one round trip a step.

A released message is in the bus's custody until its attempt is claimed, then in this service's table; so the delivery is
acknowledged as soon as the attempts are claimed, and a slow provider holds no delivery in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.sender.calls import Calls, Job
from services.sender.domain.attempt import AttemptId
from services.sender.numbers import Number, Numbers
from services.sender.store import attempts
from services.sender.store.attempts import event_of
from shared.bus.outbox import Outbox
from shared.clock import Clock
from shared.errors import BatchFailed, Retry
from shared.events.catalogue import MessageDeferred, MessageReleased
from shared.limits.pacing import Pacing

HORIZON_SECONDS: Final = 5.0
"""How far ahead departures are reserved: farther than the scheduler's window of a second reaches, for the slowest number too, so
that nothing is deferred in ordinary running. What would wait longer goes back, where it can be overtaken and canceled."""
LEASE_SECONDS: Final = 60.0
"""Longer than the horizon, the patience of a job whose moment has passed (`calls`), and a call together."""
PACE_CODE: Final = "number.pace"


class Delivery:
    """From released to claimed."""

    def __init__(self, outbox: Outbox, numbers: Numbers, pacing: Pacing, calls: Calls, clock: Clock) -> None:
        self._outbox = outbox
        self._numbers = numbers
        self._pacing = pacing
        self._calls = calls
        self._clock = clock

    async def take(self, released: Sequence[MessageReleased]) -> None:
        """Have these sent; returns when their attempts are claimed. An attempt told before is not sent again: where its outcome is
        known, it is told again.

        Raises `Retry` while this process is starting or stopping, `BatchFailed` for numbers that are not known yet.
        """
        if not self._calls.is_open:
            raise Retry("sender.not_running", after=1, counted=False)
        numbers = await self._numbers.of({event.number_id for event in released})
        known = [event for event in released if event.number_id in numbers]
        if known:
            await self._claim(*await self._pace(known, numbers))
        if len(known) < len(released):
            raise BatchFailed(
                {e.event_id: Retry("number.not_yet_known", after=1) for e in released if e.number_id not in numbers}
            )

    async def _pace(
        self, released: Sequence[MessageReleased], numbers: Mapping[str, Number]
    ) -> tuple[list[Job], list[tuple[MessageReleased, datetime]]]:
        """Reserve each message's moment, most urgent first; those beyond the horizon with the time when there is room."""
        urgent_first = sorted(released, key=lambda event: event.tier)
        wanted: dict[str, int] = {}
        for event in urgent_first:
            key = numbers[event.number_id].pace_key
            wanted[key] = wanted.get(key, 0) + 1
        rates = {number.pace_key: number.rate for number in numbers.values()}
        grants = await self._pacing.reserve({key: (rates[key], n) for key, n in wanted.items()}, HORIZON_SECONDS)
        waits = {key: iter(grant.waits_seconds) for key, grant in grants.items()}
        now = asyncio.get_running_loop().time()
        jobs: list[Job] = []
        late: list[tuple[MessageReleased, datetime]] = []
        for event in urgent_first:
            number = numbers[event.number_id]
            wait = next(waits[number.pace_key], None)
            if wait is None:
                late.append((event, self._clock.now() + timedelta(seconds=grants[number.pace_key].retry_seconds)))
            else:
                jobs.append(Job(event, _attempt(event), number, now + wait))
        return jobs, late

    async def _claim(self, jobs: Sequence[Job], late: Sequence[tuple[MessageReleased, datetime]]) -> None:
        """Write down all attempts, then have those called that have a moment. Attempts written down before are answered from the
        table; those this process holds will be answered anyway."""
        held = await self._calls.hold(jobs)
        begun: list[Job] = []
        try:
            async with self._outbox.transaction() as unit:
                instance = self._calls.instance
                claimed = await attempts.claim(
                    unit.connection, [job.event for job in held], instance=instance, lease_seconds=LEASE_SECONDS
                )
                deferred = await attempts.defer(unit.connection, late, instance=instance, code=PACE_CODE)
                unit.emit(*(_deferred(event, retry_at) for event, retry_at in late if _attempt(event) in deferred))
                others = [job.attempt for job in held if job.attempt not in claimed]
                others += [_attempt(event) for event, _ in late if _attempt(event) not in deferred]
                if others:
                    unit.emit(*(event_of(ended) for ended in await attempts.outcomes(unit.connection, others)))
            begun = [job for job in held if job.attempt in claimed]
        finally:
            started = {job.attempt for job in begun}
            self._calls.let_go([job.attempt for job in held if job.attempt not in started])
        self._calls.begin(begun)


def _attempt(event: MessageReleased) -> AttemptId:
    return AttemptId(event.message_id, event.attempt)


def _deferred(event: MessageReleased, retry_at: datetime) -> MessageDeferred:
    return MessageDeferred(
        tenant_id=event.tenant_id,
        traceparent=event.traceparent,
        message_id=event.message_id,
        attempt=event.attempt,
        retry_at=retry_at,
        code=PACE_CODE,
        counted=False,
    )
