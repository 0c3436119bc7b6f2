"""Take released messages: pace, claim, hand over to be called. Everything is done in bulk, one round trip a step.

A released message is in the bus's custody until its attempt is claimed, then in this service's table; so the delivery is
acknowledged as soon as the attempts are claimed, and a slow provider holds no delivery in hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import timedelta
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

HORIZON_SECONDS: Final = 1.0
"""A message that would have to wait longer for its turn goes back to the scheduler, where it can be overtaken and canceled."""
LEASE_SECONDS: Final = 60.0
"""Longer than the horizon and a call together, by far."""


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
            jobs, late = await self._pace(known, numbers)
            if late:
                async with self._outbox.transaction() as unit:
                    unit.emit(*late)
            if jobs:
                await self._claim(jobs)
        if len(known) < len(released):
            raise BatchFailed(
                {e.event_id: Retry("number.not_yet_known", after=1) for e in released if e.number_id not in numbers}
            )

    async def _pace(
        self, released: Sequence[MessageReleased], numbers: Mapping[str, Number]
    ) -> tuple[list[Job], list[MessageDeferred]]:
        """Reserve each message's moment, most urgent first; those beyond the horizon are deferred to when there is room."""
        urgent_first = sorted(released, key=lambda event: event.tier)
        wanted: dict[str, int] = {}
        for event in urgent_first:
            key = numbers[event.number_id].pace_key
            wanted[key] = wanted.get(key, 0) + 1
        rates = {number.pace_key: number.rate for number in numbers.values()}
        grants = await self._pacing.reserve({key: (rates[key], n) for key, n in wanted.items()}, HORIZON_SECONDS)
        waits = {key: iter(grant.waits_seconds) for key, grant in grants.items()}
        now = asyncio.get_running_loop().time()
        jobs, late = [], []
        for event in urgent_first:
            number = numbers[event.number_id]
            wait = next(waits[number.pace_key], None)
            if wait is None:
                late.append(self._deferred(event, grants[number.pace_key].retry_seconds))
            else:
                jobs.append(Job(event, AttemptId(event.message_id, event.attempt), number, now + wait))
        return jobs, late

    async def _claim(self, jobs: Sequence[Job]) -> None:
        """Claim the attempts, then have them called; those claimed before are answered from the table."""
        await self._calls.reserve(len(jobs))
        mine: dict[AttemptId, Job] = {}
        try:
            async with self._outbox.transaction() as unit:
                claimed = await attempts.claim(
                    unit.connection,
                    [job.event for job in jobs],
                    instance=self._calls.instance,
                    lease_seconds=LEASE_SECONDS,
                )
                others = [job.attempt for job in jobs if job.attempt not in claimed]
                if others:
                    unit.emit(*(event_of(ended) for ended in await attempts.outcomes(unit.connection, others)))
            mine = {job.attempt: job for job in jobs if job.attempt in claimed}
        finally:
            self._calls.give_back(len(jobs) - len(mine))
        self._calls.begin(list(mine.values()))

    def _deferred(self, event: MessageReleased, retry_seconds: float) -> MessageDeferred:
        return MessageDeferred(
            tenant_id=event.tenant_id,
            traceparent=event.traceparent,
            message_id=event.message_id,
            attempt=event.attempt,
            retry_at=self._clock.now() + timedelta(seconds=retry_seconds),
            code="number.pace",
            counted=False,
        )
