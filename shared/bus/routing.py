"""Names on the broker and where a message goes next. They are code, not settings: a typo must not detach a consumer in silence.

    publish ──► chasqui.events (topic; key = subject) ──► <subscription> ──► consumer
                                                           ▲      │ │
                chasqui.return (direct; key = queue) ──────┘      │ └─ for good, or delivered 20 times ──► <subscription>.dead
                       ▲ │ queue gone meanwhile ──► chasqui.lost  │
                       │                                          │
                       └── chasqui.retry.<n>s (fanout, one queue, ◄── again in n seconds
                           messages expire after n seconds)

All queues are quorum queues; what the broker moves by itself it moves at least once (`x-dead-letter-strategy`, which wants
`reject-publish`). Such moving waits for a route as long as it takes, and messages without a route would hold up all behind them
in the shared retry queue: hence `chasqui.return` with its alternate exchange, and not the default exchange.
Arguments are limited to what RabbitMQ 3.10 to 4.x understand alike; a queue's arguments can never be changed, only its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.bus.interface import RetryPolicy
from shared.errors import Retry

EXCHANGE: Final = "chasqui.events"
RETURN: Final = "chasqui.return"
LOST: Final = "chasqui.lost"
CONTROL: Final = "chasqui.control"
"""Direct, key = subscription: a word on it makes all consumers of that one take their queue anew."""

RETRY_LADDER_SECONDS: Final = (1, 5, 30, 120, 600)
"""The waits there are. Longer ones belong into the scheduler's table."""

DELIVERY_LIMIT: Final = 20
"""Deliveries that ended without a word (the process died, or was told to stop) before the broker gives an event up."""

RETENTION_SECONDS: Final = 14 * 24 * 3600
"""How long dead letters, which hold message bodies, are kept."""

Arguments = Mapping[str, str | int]

_KEPT_FOR_GOOD: Final[Arguments] = {"x-queue-type": "quorum", "x-message-ttl": RETENTION_SECONDS * 1000}
LOST_ARGUMENTS: Final = _KEPT_FOR_GOOD
DEAD_ARGUMENTS: Final = _KEPT_FOR_GOOD


def dead_queue(subscription: str) -> str:
    return f"{subscription}.dead"


def queue_arguments(subscription: str) -> Arguments:
    return {
        "x-queue-type": "quorum",
        "x-delivery-limit": DELIVERY_LIMIT,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": dead_queue(subscription),
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def retry_name(rung_seconds: int) -> str:
    """Of the exchange and of its one queue."""
    return f"chasqui.retry.{rung_seconds}s"


def retry_arguments(rung_seconds: int) -> Arguments:
    return {
        "x-queue-type": "quorum",
        "x-message-ttl": rung_seconds * 1000,
        "x-dead-letter-exchange": RETURN,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
    }


def rung(seconds: float) -> int:
    """The shortest wait there is of at least `seconds`; the longest there is for more."""
    return next((step for step in RETRY_LADDER_SECONDS if step >= seconds), RETRY_LADDER_SECONDS[-1])


def wait_before_next(policy: RetryPolicy, attempt: int, failure: Retry) -> int | None:
    """Seconds until an event comes back that failed in its `attempt` (from 1), a rung of the ladder; None where it is dead.

    What is not counted comes back at the first rung: the dependency that was away may be there again, and if not, handlers that
    wait for it in vain slow the circle down.
    """
    shortest = failure.after or 0
    if not failure.counted:
        return rung(shortest)
    if attempt > len(policy.schedule_seconds):
        return None
    return rung(max(shortest, policy.schedule_seconds[attempt - 1]))
