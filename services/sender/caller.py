"""One message's turn: look once more whether its way is free, call, and draw the conclusions."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import aiohttp

from services.sender.clearance import Clearance, Obstacle, breaker_open, gate_of
from services.sender.conclude import Conclusions
from services.sender.domain.attempt import AttemptId
from services.sender.domain.outcome import Outcome, Sent
from services.sender.health import PROBE_SECONDS, Health
from services.sender.journal import Journal
from services.sender.numbers import Number
from services.sender.prepare import Preparation, is_plain
from services.sender.provider import call
from services.sender.provider.interface import Request
from services.sender.recorder import Ended
from services.sender.store.attempts import Head
from services.sender.watched import about, tell_end, watched
from shared.clock import Clock
from shared.events.catalogue import MessageReleased
from shared.telemetry.catalogue import PROVIDER_REQUEST_DURATION_SECONDS
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import NO_SPAN, Span, Tracing

PROBE_WAIT: Final = timedelta(seconds=PROBE_SECONDS)
MILLISECOND: Final = timedelta(milliseconds=1)


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
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self.journal = journal
        self._session = session
        self._preparation = preparation
        self._clearance = clearance
        self._health = health
        self._conclusions = conclusions
        self._tracing = tracing
        self._metrics = metrics
        self._clock = clock

    async def call(self, job: Job) -> Ended:
        """Make the attempt, or find that it must not be made now. Every failure is an outcome."""
        event, number, started_at = job.event, job.number, self._clock.now()
        if event.traceparent is None:
            return await self._attempt(job, started_at, NO_SPAN)
        attributes = {
            "tenant_id": event.tenant_id,
            "message_id": event.message_id,
            "number_id": number.number_id,
            "attempt": event.attempt,
            "tier": event.tier.name.lower(),
            "wait_ms": round((started_at - event.occurred_at) / MILLISECOND),
        }
        with self._tracing.follow("attempt", event.traceparent, attributes=attributes) as span:
            ended = await self._attempt(job, started_at, span)
            tell_end(span, ended.settled, self._clock.now())
        return ended

    async def _attempt(self, job: Job, started_at: datetime, span: Span) -> Ended:
        event, number = job.event, job.number
        head = Head(job.attempt, event.tenant_id, span.traceparent or None, started_at, event.occurred_at)
        if (obstacle := self._clearance.obstacle(event, number, started_at)) is not None:
            return self._conclusions.blocked(number, head, obstacle)
        content = event.content
        if not is_plain(content):
            ready = await self._preparation.ready(event, number)
            if not isinstance(ready, dict):
                return await self._conclusions.conclude(event, number, self._followed(head, event, ready), ready)
            content = ready
            span.event("prepared")
        request = number.route.request(job.attempt, event.to, content)
        if not isinstance(request, Request):
            return await self._conclusions.conclude(event, number, self._followed(head, event, request), request)
        if self._health.is_probing(number):
            if not await self._health.admit(number):
                return self._conclusions.blocked(number, head, breaker_open(number, started_at + PROBE_WAIT))
            span.event("breaker.probe")
        outcome = await self._post(job, request, span)
        if not isinstance(outcome, Sent) and not is_plain(content):
            outcome = await self._preparation.doubted(event, number, outcome)
        head = self._followed(head, event, outcome)
        ended = await self._conclusions.conclude(event, number, head, outcome)
        return ended if isinstance(outcome, Sent) else ended._replace(was_called=True)

    async def _post(self, job: Job, request: Request, span: Span) -> Outcome:
        number = job.number
        judge: call.Judge = number.route.judge
        with self._tracing.follow("POST messages", span.traceparent, kind="client") as call_span:
            if call_span.traceparent:
                call_span.set(**about(request, job))
                judge = watched(judge, call_span)
            time = asyncio.get_running_loop().time
            began = time()
            outcome = await call.send(
                self._session, request, judge, lambda: self.journal.departed(job.attempt), call_span.traceparent
            )
            seconds = time() - began
            self._health.note(number, outcome, began, seconds)
            self._metrics.observe(PROVIDER_REQUEST_DURATION_SECONDS, seconds, number.provider)
            if not isinstance(outcome, Sent):
                call_span.fail(outcome.code)
        return outcome

    def _followed(self, head: Head, event: MessageReleased, outcome: Outcome) -> Head:
        """The head of an attempt that nobody traces and that has failed is that of a recorded one."""
        if head.traceparent is not None or isinstance(outcome, Sent):
            return head
        seconds = (self._clock.now() - head.started_at).total_seconds()
        attributes = {"tenant_id": event.tenant_id, "message_id": event.message_id, "attempt": event.attempt}
        traceparent = self._tracing.failed("attempt", outcome.code, event.message_id, seconds=seconds, attributes=attributes)
        return head._replace(traceparent=traceparent)

    def give_back(self, job: Job, code: str, seconds: float = 0.0) -> Ended:
        """To the scheduler, unmade and uncounted, to come again after so long; its number waits as long."""
        now = self._clock.now()
        head = Head(job.attempt, job.event.tenant_id, job.event.traceparent, now, job.event.occurred_at)
        until = now + timedelta(seconds=seconds)
        return self._conclusions.blocked(
            job.number, head, Obstacle(code, until, gate_of(job.number.number_id, until) if seconds else None)
        )
