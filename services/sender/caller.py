"""One message's turn: look once more whether its way is free, call, and draw the conclusions."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final, NamedTuple

import aiohttp

from services.sender.clearance import Clearance, Obstacle, breaker_open, gate_of
from services.sender.conclude import Conclusions
from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Sent
from services.sender.health import PROBE_SECONDS, Health
from services.sender.journal import Journal
from services.sender.numbers import Number
from services.sender.prepare import Preparation, is_plain
from services.sender.provider import call
from services.sender.provider.interface import Request
from services.sender.recorder import Ended
from services.sender.store.attempts import Head
from shared.clock import Clock
from shared.events.catalogue import MessageReleased
from shared.telemetry.tracing import Tracing

PROBE_WAIT: Final = timedelta(seconds=PROBE_SECONDS)


class Job(NamedTuple):
    """An attempt that is to be made."""

    event: MessageReleased
    attempt: AttemptId
    number: Number


class Caller:
    """Does jobs, with all that they need."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        journal: Journal,
        preparation: Preparation,
        clearance: Clearance,
        health: Health,
        conclusions: Conclusions,
        tracing: Tracing,
        clock: Clock,
    ) -> None:
        self.journal = journal
        self._session = session
        self._preparation = preparation
        self._clearance = clearance
        self._health = health
        self._conclusions = conclusions
        self._tracing = tracing
        self._clock = clock

    async def call(self, job: Job) -> Ended:
        """Make the attempt, or find that it must not be made now. Every failure is an outcome."""
        event, number, started_at = job.event, job.number, self._clock.now()
        head = Head(job.attempt, event.tenant_id, event.traceparent, started_at, event.occurred_at)
        if (obstacle := self._clearance.obstacle(event, number, started_at)) is not None:
            return self._conclusions.blocked(number, head, obstacle)
        content = event.content
        if not is_plain(content):
            ready = await self._preparation.ready(event, number)
            if not isinstance(ready, dict):
                return await self._conclusions.conclude(event, number, head, ready)
            content = ready
        request = number.route.request(job.attempt, event.to, content)
        if not isinstance(request, Request):
            return await self._conclusions.conclude(event, number, head, request)
        if self._health.is_probing(number) and not await self._health.admit(number):
            return self._conclusions.blocked(number, head, breaker_open(number, started_at + PROBE_WAIT))
        with self._tracing.follow("POST messages", event.traceparent, kind="client") as span:
            time = asyncio.get_running_loop().time
            began = time()
            outcome = await call.send(
                self._session, request, number.route.judge, lambda: self.journal.departed(job.attempt), span.traceparent
            )
            self._health.note(number, outcome, began, time() - began)
            span.set(message_id=event.message_id, attempt=event.attempt, outcome=type(outcome).__name__.lower())
            if not isinstance(outcome, Sent):
                span.fail(outcome.code)
        if not isinstance(outcome, Sent) and not is_plain(content):
            outcome = await self._preparation.doubted(event, number, outcome)
        return await self._conclusions.conclude(event, number, head._replace(traceparent=span.traceparent or None), outcome)

    def give_back(self, job: Job, code: str, seconds: float = 0.0) -> Ended:
        """To the scheduler, unmade and uncounted, to come again after so long; its number waits as long."""
        now = self._clock.now()
        head = Head(job.attempt, job.event.tenant_id, job.event.traceparent, now, job.event.occurred_at)
        until = now + timedelta(seconds=seconds)
        return self._conclusions.blocked(
            job.number, head, Obstacle(code, until, gate_of(job.number.number_id, until) if seconds else None)
        )
