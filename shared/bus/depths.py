"""How much waits in the queues of a service, and how much is dead there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from shared.bus.interface import Bus, Subscription
from shared.telemetry.catalogue import BUS_DEAD_LETTERS, BUS_QUEUE_MESSAGES
from shared.telemetry.metrics import Read, Reading


def depths(bus: Bus, subscriptions: Sequence[Subscription]) -> Read:
    """The source of their gauges. All replicas of a service see the same queues."""

    async def read() -> Iterable[Reading]:
        readings = []
        for subscription in subscriptions:
            stats = await bus.stats(subscription)
            readings.append(Reading(BUS_QUEUE_MESSAGES, stats.waiting, (subscription.name,)))
            readings.append(Reading(BUS_DEAD_LETTERS, stats.dead, (subscription.name,)))
        return readings

    return read
