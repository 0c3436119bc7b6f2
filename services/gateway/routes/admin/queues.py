"""Queues: how much work there is, and consumers that are to begin anew."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from aiohttp import web

from services.gateway.operations.figures import Figures
from services.gateway.operations.others import AllServices, Answers
from services.gateway.operators import note
from services.gateway.payloads.operations import QueueStatistics, QueueWork, Restarted, RestartQueues, TierWork
from services.gateway.routes.admin.operation import operation
from shared.bus.interface import Bus, BusError
from shared.db.pool import Pool
from shared.errors import Rejected
from shared.http.bodies import Priority
from shared.http.requests import read_body, validate
from shared.http.responses import json_response
from shared.http.routes import Route
from shared.operations.payloads import QueueStates
from shared.telemetry.catalogue import (
    BUS_EVENTS_IN_HAND,
    BUS_EVENTS_TOTAL,
    HOLD_OLDEST_DUE_AGE_SECONDS,
    HOLDS,
    SENDER_OLDEST_UNSENT_AGE_SECONDS,
)

READ: Final = (BUS_EVENTS_TOTAL, BUS_EVENTS_IN_HAND, HOLDS, HOLD_OLDEST_DUE_AGE_SECONDS, SENDER_OLDEST_UNSENT_AGE_SECONDS)


class QueueRoutes:
    """The handlers, with what they need."""

    def __init__(self, services: AllServices, bus: Bus, pool: Pool) -> None:
        self._services = services
        self._bus = bus
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            operation(
                "GET",
                "/admin/queues/stats",
                self.stats,
                "Work waiting, under way and done",
                QueueStatistics,
                description="Of every queue of every service, and of messages by priority.",
            ),
            operation(
                "POST",
                "/admin/queues/restart",
                self.restart,
                "Let consumers take their queues anew",
                Restarted,
                404,
                503,
                request=RestartQueues,
                is_body_optional=True,
                request_examples={"one": {"queues": ["sender.deliver"]}, "retries": {"hurry": True}},
                description="Every consumer, in whatever process, finishes what it has in hand, lets go of its queue and takes it "
                "anew on a channel of its own: nothing is lost, and what is not settled within ten seconds comes again. It mends "
                "what hangs between a process and the broker; a handler that hangs goes with its process alone.",
            ),
        ]

    async def stats(self, _: web.Request) -> web.StreamResponse:
        states, pages = await asyncio.gather(self._services.queues(), self._services.metrics())
        figures = Figures(READ, pages.by_service)
        queues = _queues(states, figures)
        completed, failed = sum(queue.completed for queue in queues), sum(queue.failed for queue in queues)
        return json_response(
            QueueStatistics(
                waiting=sum(queue.waiting for queue in queues),
                active=sum(queue.active for queue in queues),
                completed=completed,
                failed=failed,
                success_rate=success_rate(completed, failed),
                queues=queues,
                priorities=[_tier(priority, figures) for priority in Priority],
                unreachable=sorted({*states.unreachable, *pages.unreachable}),
            )
        )

    async def restart(self, request: web.Request) -> web.StreamResponse:
        data = await read_body(request)
        body = validate(RestartQueues, data) if data.strip() else RestartQueues()
        answers = await self._services.queues()
        if not answers.by_service:
            raise _away()
        known = [state.queue for states in answers.by_service.values() for state in states[0].data]
        unknown = next((name for name in body.queues or () if name not in known), None)
        if unknown is not None and not answers.unreachable:
            raise Rejected("queue.unknown", f"There is no queue {unknown[:100]}.", 404)
        wanted = known if body.queues is None else [name for name in body.queues if name in known]
        await note(self._pool, request, "queues.restart", "*" if body.queues is None else ", ".join(wanted), hurry=body.hurry)
        try:
            told = {name: await self._bus.restart(name) for name in wanted}
            hurried = await self._bus.hurry() if body.hurry else 0
        except BusError:
            raise _away() from None
        return json_response(
            Restarted(
                restarted=[name for name, is_told in told.items() if is_told],
                without_consumer=[name for name, is_told in told.items() if not is_told],
                hurried=hurried,
                unreachable=list(answers.unreachable),
            )
        )


def _queues(answers: Answers[QueueStates], figures: Figures) -> list[QueueWork]:
    queues = []
    for service, states in answers.by_service.items():
        for state in states[0].data:
            done, dead = (int(figures.total(BUS_EVENTS_TOTAL, subscription=state.queue, outcome=o)) for o in ("done", "dead"))
            queues.append(
                QueueWork(
                    queue=state.queue,
                    service=service,
                    waiting=state.waiting,
                    active=int(figures.total(BUS_EVENTS_IN_HAND, subscription=state.queue)),
                    completed=done,
                    failed=dead,
                    success_rate=success_rate(done, dead),
                    retried=int(figures.total(BUS_EVENTS_TOTAL, subscription=state.queue, outcome="retried")),
                    dead=state.dead,
                )
            )
    return queues


def _tier(priority: Priority, figures: Figures) -> TierWork:
    tier = priority.value
    ages = (figures.most(metric, tier=tier) for metric in (HOLD_OLDEST_DUE_AGE_SECONDS, SENDER_OLDEST_UNSENT_AGE_SECONDS))
    return TierWork(
        priority=priority,
        scheduled=int(figures.most(HOLDS, tier=tier, state="scheduled")),
        waiting=int(figures.most(HOLDS, tier=tier, state="due")),
        active=int(figures.most(HOLDS, tier=tier, state="released")),
        oldest_age_seconds=round(max(ages), 3),
    )


def _away() -> Rejected:
    return Rejected("bus.unavailable", "The broker does not answer now; again is safe.", 503, retry_after_seconds=2)


def success_rate(completed: float, failed: float) -> float:
    """1 before any has ended."""
    return round(completed / (completed + failed), 6) if completed + failed else 1.0
