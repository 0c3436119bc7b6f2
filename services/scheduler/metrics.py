"""What the scheduler counts and what it shows at a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from services.scheduler.store import metrics as store
from shared.bus.outbox import OnTold
from shared.db.pool import Pool
from shared.events.catalogue import MessageReleased
from shared.events.event import Event
from shared.events.values import Tier
from shared.telemetry.catalogue import (
    CAMPAIGNS,
    HOLD_OLDEST_DUE_AGE_SECONDS,
    HOLDS,
    MESSAGES_RELEASED_TOTAL,
    RELEASE_LATENESS_SECONDS,
    SCHEDULES_DUE,
)
from shared.telemetry.metrics import Metrics, Reading

HOLD_STATES: Final = ("scheduled", "due", "blocked", "released", "unsettled")
CAMPAIGN_STATES: Final = ("expanding", "running", "paused")


def counting(metrics: Metrics) -> OnTold:
    """Counts what was told."""

    def count(events: Sequence[Event]) -> None:
        tiers = Counter(event.tier for event in events if isinstance(event, MessageReleased))
        for tier, released in tiers.items():
            metrics.count(MESSAGES_RELEASED_TOTAL, tier.name.lower(), by=released)

    return count


def note_lateness(metrics: Metrics, released: Sequence[MessageReleased]) -> None:
    """Of messages released just now. One that was put back was late once already, or was not to be sent earlier."""
    late: dict[Tier, list[float]] = {}
    for event in released:
        if event.attempt == 1 and event.first_due_at is not None:
            late.setdefault(event.tier, []).append((event.occurred_at - event.first_due_at).total_seconds())
    for tier, seconds in late.items():
        metrics.observe_all(RELEASE_LATENESS_SECONDS, seconds, tier.name.lower())


def add_sources(metrics: Metrics, pool: Pool) -> None:
    """What is asked for at a scrape. All replicas see the same tables."""

    async def read_holds() -> Iterable[Reading]:
        found = await store.holds(pool)
        return [
            Reading(HOLDS, found.get((tier, state), 0), (tier.name.lower(), state)) for tier in Tier for state in HOLD_STATES
        ]

    async def read_oldest() -> Iterable[Reading]:
        found = await store.oldest_due(pool)
        return [Reading(HOLD_OLDEST_DUE_AGE_SECONDS, found.get(tier, 0.0), (tier.name.lower(),)) for tier in Tier]

    async def read_campaigns() -> Iterable[Reading]:
        found = await store.campaigns(pool)
        return [Reading(CAMPAIGNS, found.get(state, 0), (state,)) for state in CAMPAIGN_STATES]

    async def read_schedules() -> Iterable[Reading]:
        return (Reading(SCHEDULES_DUE, await store.schedules_due(pool)),)

    metrics.source("holds", read_holds)
    metrics.source("oldest_due", read_oldest)
    metrics.source("campaigns", read_campaigns)
    metrics.source("schedules", read_schedules)
