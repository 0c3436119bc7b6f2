"""The database, the way in and the workers, as figures for people and scripts that have no Prometheus."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final, Literal

from aiohttp import web

from services.gateway.operations.figures import Figures
from services.gateway.operations.others import AllServices
from services.gateway.payloads.operations import (
    Breaker,
    DatabaseStatistics,
    IntakeHealth,
    PoolHealth,
    ServiceDatabase,
    WebhookHealth,
    Worker,
    Workers,
)
from services.gateway.routes.admin.caches import cache_reads, hit_rate
from services.gateway.routes.admin.operation import operation
from shared.db.pool import Pool, check
from shared.http.responses import json_response
from shared.http.routes import Route
from shared.operations.databases import pool_states
from shared.telemetry.catalogue import (
    ATTEMPTS_TOTAL,
    BREAKER_STATE,
    BUILD_INFO,
    BUS_EVENTS_IN_HAND,
    BUS_EVENTS_TOTAL,
    CACHE_READS_TOTAL,
    DB_POOL_CONNECTIONS,
    HOLDS,
    SENDER_MESSAGES,
    WEBHOOKS_OLDEST_AGE_SECONDS,
    WEBHOOKS_QUARANTINED,
    WEBHOOKS_RECEIVED_TOTAL,
    WEBHOOKS_WAITING,
)
from shared.unavailable import is_unavailable

_WEBHOOK_FIGURES: Final = (
    WEBHOOKS_RECEIVED_TOTAL,
    WEBHOOKS_WAITING,
    WEBHOOKS_OLDEST_AGE_SECONDS,
    WEBHOOKS_QUARANTINED,
    BREAKER_STATE,
    ATTEMPTS_TOTAL,
    CACHE_READS_TOTAL,
)
_WORKER_FIGURES: Final = (
    BUS_EVENTS_TOTAL,
    BUS_EVENTS_IN_HAND,
    HOLDS,
    SENDER_MESSAGES,
    DB_POOL_CONNECTIONS,
    CACHE_READS_TOTAL,
    BUILD_INFO,
)
_TAKEN: Final = frozenset({"stored", "spooled"})
_NOT_TAKEN: Final = frozenset({"failed", "unknown", "deferred"})
_STATES: Final[Sequence[Literal["closed", "half_open", "open"]]] = ("closed", "half_open", "open")


class HealthRoutes:
    """The handlers, with what they need."""

    def __init__(self, services: AllServices, pool: Pool) -> None:
        self._services = services
        self._pool = pool

    def routes(self) -> Sequence[Route]:
        return [
            operation(
                "GET",
                "/admin/db/stats",
                self.databases,
                "Pools, slow statements, use of indexes",
                DatabaseStatistics,
                description="Of each service's own schema.",
            ),
            operation("GET", "/api/health/database", self.pool, "The gateway's connections to the database", PoolHealth),
            operation(
                "GET", "/api/webhooks/whatsapp/health", self.webhooks, "How webhooks and the provider's API are", WebhookHealth
            ),
            operation("GET", "/api/workers/whatsapp", self.workers, "What the services are working on", Workers),
        ]

    async def databases(self, _: web.Request) -> web.StreamResponse:
        answers = await self._services.databases()
        data = [
            ServiceDatabase(service=service, **dict(state))
            for service, states in answers.by_service.items()
            for state in states
        ]
        return json_response(DatabaseStatistics(data=data, unreachable=list(answers.unreachable)))

    async def pool(self, _: web.Request) -> web.StreamResponse:
        await check(self._pool)
        return json_response(self._pool_health())

    async def webhooks(self, _: web.Request) -> web.StreamResponse:
        pages, is_there = await asyncio.gather(self._services.metrics(), self._is_there())
        figures = Figures(_WEBHOOK_FIGURES, pages.by_service)
        received = {outcome: int(count) for outcome, count in figures.by(WEBHOOKS_RECEIVED_TOTAL, "outcome").items()}
        outcomes = figures.by(ATTEMPTS_TOTAL, "outcome")
        breakers = _breakers(figures)
        errors = {code: int(count) for code, count in figures.by(ATTEMPTS_TOTAL, "code").items() if code and count}
        is_well = is_there and not pages.unreachable and all(breaker.state == "closed" for breaker in breakers)
        return json_response(
            WebhookHealth(
                status="ok" if is_well else "degraded",
                database=self._pool_health() if is_there else None,
                webhooks=IntakeHealth(
                    received=received,
                    error_rate=_share(
                        sum(n for outcome, n in received.items() if outcome not in _TAKEN), sum(received.values())
                    ),
                    waiting=int(figures.most(WEBHOOKS_WAITING)),
                    oldest_age_seconds=round(figures.most(WEBHOOKS_OLDEST_AGE_SECONDS), 3),
                    quarantined=int(figures.most(WEBHOOKS_QUARANTINED)),
                ),
                breakers=breakers,
                provider_error_rate=_share(
                    sum(n for outcome, n in outcomes.items() if outcome in _NOT_TAKEN), sum(outcomes.values())
                ),
                provider_errors=errors,
                caches=cache_reads(figures),
                unreachable=list(pages.unreachable),
            )
        )

    async def workers(self, _: web.Request) -> web.StreamResponse:
        queues, pages = await asyncio.gather(self._services.queues(), self._services.metrics())
        sizes = {name: sum(queue.waiting for queue in states[0].data) for name, states in queues.by_service.items()}
        workers = [
            _worker(service, Figures(_WORKER_FIGURES, {service: texts}), len(texts), sizes.get(service, 0))
            for service, texts in pages.by_service.items()
        ]
        workers += [_worker(service, Figures((), {}), 0, sizes.get(service, 0)) for service in pages.unreachable]
        return json_response(
            Workers(
                active=sum(worker.active for worker in workers),
                reserved=sum(worker.reserved for worker in workers),
                scheduled=sum(worker.scheduled for worker in workers),
                processed=sum(worker.processed for worker in workers),
                queue_size=sum(worker.queue_size for worker in workers),
                workers=workers,
                unreachable=sorted({*queues.unreachable, *pages.unreachable}),
            )
        )

    async def _is_there(self) -> bool:
        try:
            await check(self._pool)
        except Exception as error:
            if not is_unavailable(error):
                raise
            return False
        return True

    def _pool_health(self) -> PoolHealth:
        state = pool_states({"main": self._pool})[0]
        total = state.in_use + state.idle
        return PoolHealth(
            size=state.kept_open,
            checked_in=state.idle,
            checked_out=state.in_use,
            overflow=max(0, total - state.kept_open),
            total=total,
            most=state.most,
        )


def _worker(service: str, figures: Figures, processes: int, queue_size: int) -> Worker:
    caches = cache_reads(figures)
    return Worker(
        service=service,
        status="ok" if processes else "unreachable",
        processes=processes,
        active=int(figures.total(BUS_EVENTS_IN_HAND)),
        reserved=int(figures.total(SENDER_MESSAGES, state="waiting")),
        scheduled=int(figures.total(HOLDS, state="scheduled")) // max(1, processes),
        processed=int(figures.total(BUS_EVENTS_TOTAL, outcome="done")),
        queue_size=queue_size,
        pool_max=int(figures.total(DB_POOL_CONNECTIONS, state="max")),
        hit_rate=hit_rate(sum(c.hits for c in caches), sum(c.misses for c in caches)) if caches else None,
    )


def _breakers(figures: Figures) -> list[Breaker]:
    """As the process sees it that thinks worst of it."""
    worst: dict[str, int] = {}
    for _, labels, value in figures.samples(BREAKER_STATE):
        name = labels.get("breaker", "")
        worst[name] = max(worst.get(name, 0), min(int(value), 2))
    return [Breaker(breaker=name, state=_STATES[state]) for name, state in sorted(worst.items())]


def _share(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0
