"""What the gateway counts and what it shows at a scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.gateway.consumers import SUBSCRIPTIONS
from services.gateway.groups import Groups
from services.gateway.live.hub import Hub
from services.gateway.store import metrics as store
from services.gateway.tenants import Authenticator
from shared.bus.depths import depths
from shared.bus.interface import Bus
from shared.bus.outbox import OnTold
from shared.db.pool import Pool
from shared.events.catalogue import MessageAccepted, MessageStatusChanged
from shared.events.event import Event
from shared.telemetry.catalogue import (
    ACTIVE_CLIENTS,
    LIVE_STREAMS,
    MESSAGE_STATUSES_TOTAL,
    MESSAGES_ACCEPTED_TOTAL,
    WEBHOOKS_OLDEST_AGE_SECONDS,
    WEBHOOKS_QUARANTINED,
    WEBHOOKS_WAITING,
)
from shared.telemetry.metrics import Metrics, Reading


def counting(metrics: Metrics) -> OnTold:
    """Counts what was told, whichever way the messages came: one at a time, in a batch, by the provider's API, for a campaign."""

    def count(events: Sequence[Event]) -> None:
        tiers = Counter(event.tier for event in events if isinstance(event, MessageAccepted))
        statuses = Counter(event.status for event in events if isinstance(event, MessageStatusChanged))
        for tier, accepted in tiers.items():
            metrics.count(MESSAGES_ACCEPTED_TOTAL, tier.name.lower(), by=accepted)
        for status, reported in statuses.items():
            metrics.count(MESSAGE_STATUSES_TOTAL, status.value, by=reported)

    return count


def add_sources(metrics: Metrics, pool: Pool, bus: Bus, hub: Hub, keys: Authenticator, groups: Groups) -> None:
    """What is asked for at a scrape."""

    async def read_webhooks() -> Iterable[Reading]:
        found = await store.webhooks(pool)
        return (
            Reading(WEBHOOKS_WAITING, found.waiting),
            Reading(WEBHOOKS_OLDEST_AGE_SECONDS, found.oldest_seconds),
            Reading(WEBHOOKS_QUARANTINED, found.quarantined),
        )

    async def read_clients() -> Iterable[Reading]:
        return (Reading(LIVE_STREAMS, hub.readers), Reading(ACTIVE_CLIENTS, keys.active))

    async def read_caches() -> Iterable[Reading]:
        return groups.cache_counts.readings("groups")

    metrics.source("queues", depths(bus, SUBSCRIPTIONS))
    metrics.source("webhooks", read_webhooks)
    metrics.source("clients", read_clients)
    metrics.source("caches", read_caches)
