"""What the sender is asked for when it is scraped: what it has in hand, how its numbers stand, what its tables say.

What it does is counted where it is done: attempts in `recorder.py` and `deliver.py`, calls in `caller.py`, posts in
`callbacks/crew.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from heapq import nlargest
from typing import Final

from services.sender.calls import Calls
from services.sender.health import Health
from services.sender.limits import HOUR_CODE
from services.sender.numbers import Number, Numbers
from services.sender.store import metrics as store
from shared.cache import CacheCounts
from shared.clock import Clock
from shared.db.pool import Pool
from shared.events.values import Tier
from shared.limits.breaker import State
from shared.limits.limiter import Limit, Limiter
from shared.telemetry.catalogue import (
    ATTEMPTS_UNKNOWN,
    BREAKER_STATE,
    CALLBACKS_FAILING,
    CALLBACKS_OLDEST_AGE_SECONDS,
    CALLBACKS_WAITING,
    NUMBER_HEADROOM_RATIO,
    NUMBER_RATE_PER_SECOND,
    NUMBER_RATE_SHARE,
    NUMBERS_PAUSED,
    SENDER_MESSAGES,
    SENDER_OLDEST_UNSENT_AGE_SECONDS,
    TIERS,
    UNKNOWN_OLDEST_AGE_SECONDS,
)
from shared.telemetry.metrics import Metrics, Reading

IN_USE_SECONDS: Final = 300.0
"""Numbers that have sent nothing for so long stand as they should, and are left out."""
MOST_NUMBERS: Final = 500
"""Shown one by one: each takes a tenth of a millisecond to ask Redis for, on the loop that sends."""
_AT_ONCE: Final = 100
"""Numbers asked for in a round trip, so that neither Redis nor the loop stands still for long."""
_STATES: Final[Mapping[State, float]] = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}


def add_sources(
    metrics: Metrics, pool: Pool, directory: Numbers, limiter: Limiter, health: Health, calls: Calls, clock: Clock
) -> None:
    """Have `metrics` ask all of it. The numbers take a few round trips to Redis, the tables some rows by index each."""

    def busiest() -> list[Number]:
        loads = calls.loads()
        in_use = directory.in_use(IN_USE_SECONDS)
        return nlargest(MOST_NUMBERS, in_use, key=lambda number: sum(loads.get(number.limits.line.group, ())))

    async def in_hand() -> list[Reading]:
        return list(_in_hand(calls, clock.now()))

    async def numbers() -> list[Reading]:
        shown, readings = busiest(), list[Reading]()
        for first in range(0, len(shown), _AT_ONCE):
            some = shown[first : first + _AT_ONCE]
            standing = await limiter.standing({number.limits.line: _hourly(number) for number in some})
            for number in some:
                readings += _number(number, *standing[number.limits.line.group])
        return readings

    async def breakers() -> list[Reading]:
        states = health.states()
        not_closed = [
            number
            for number in directory.in_use(IN_USE_SECONDS)
            if states.get(number.breakers[0], State.CLOSED) != State.CLOSED
        ]
        return list(_breakers([*busiest(), *not_closed], states))

    async def directory_reads() -> list[Reading]:
        return CacheCounts(directory.hits, directory.misses, 0).readings("numbers")

    async def paused() -> list[Reading]:
        return [Reading(NUMBERS_PAUSED, count, (code,)) for code, count in (await store.paused_numbers(pool)).items()]

    async def unknown() -> list[Reading]:
        found = await store.unknown_attempts(pool)
        return [
            Reading(ATTEMPTS_UNKNOWN, found.attempts),
            Reading(UNKNOWN_OLDEST_AGE_SECONDS, found.oldest_seconds),
        ]

    async def callbacks() -> list[Reading]:
        waiting = await store.waiting_deliveries(pool)
        return [
            Reading(CALLBACKS_WAITING, waiting.deliveries),
            Reading(CALLBACKS_OLDEST_AGE_SECONDS, waiting.due_seconds),
            Reading(CALLBACKS_FAILING, await store.failing_callbacks(pool)),
        ]

    for read in (in_hand, numbers, breakers, directory_reads, paused, unknown, callbacks):
        metrics.source(read.__name__, read)


def _in_hand(calls: Calls, now: datetime) -> Iterator[Reading]:
    """Nothing that is in hand elsewhere, or still in the queue: of a queue that is behind, the oldest is what was taken first."""
    oldest = dict.fromkeys(Tier, now)
    for state, jobs in zip(("waiting", "in_call"), calls.in_hand(), strict=True):
        counts = dict.fromkeys(Tier, 0)
        for job in jobs:
            tier = Tier(job.event.tier)
            counts[tier] += 1
            oldest[tier] = min(oldest[tier], job.event.occurred_at)
        for tier, count in counts.items():
            yield Reading(SENDER_MESSAGES, count, (TIERS[tier], state))
    for tier, released_at in oldest.items():
        yield Reading(SENDER_OLDEST_UNSENT_AGE_SECONDS, (now - released_at).total_seconds(), (TIERS[tier],))


def _hourly(number: Number) -> list[Limit]:
    """Of a number's own limits, besides its rate, the one that all of its messages share."""
    return [limit for limit in number.limits.of_tier[Tier.CRITICAL] if limit.code == HOUR_CODE]


def _number(number: Number, share: float, headroom: float) -> Iterator[Reading]:
    labels = (number.number_id,)
    yield Reading(NUMBER_RATE_PER_SECOND, number.limits.line.rate.per_second * share, labels)
    yield Reading(NUMBER_RATE_SHARE, share, labels)
    yield Reading(NUMBER_HEADROOM_RATIO, headroom, labels)


def _breakers(numbers: Sequence[Number], states: Mapping[str, State]) -> Iterator[Reading]:
    """Of these numbers and of their providers, by names that are nobody's phone number."""
    names: dict[str, str] = {number.breakers[0]: number.number_id for number in numbers}
    names |= {key: key.partition(":")[2] for number in numbers for key in number.breakers[1:]}
    for key, name in names.items():
        yield Reading(BREAKER_STATE, _STATES[states.get(key, State.CLOSED)], (name,))
