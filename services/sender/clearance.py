"""Whether a message's way is free, asked when it is released and again right before its call; nothing here waits or reads."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from services.sender.health import Health
from services.sender.numbers import FRESH_SECONDS, Number, Numbers
from shared.events.catalogue import MessageReleased
from shared.events.values import Gate, Tier
from shared.ids import NumberId

PAUSED_SECONDS: Final = FRESH_SECONDS
"""For so long a paused number's gate is closed: by then the scheduler has heard of the pause itself, and a sender that has not
heard of its end has read the record anew."""

NUMBER_PAUSED: Final = "number.paused"
TEMPLATE_RESTS: Final = "template.paused"
NUMBER_RESTS: Final = "number.throttled"
"""The provider wants nothing of it for a while."""
NUMBER_SLOW: Final = "number.slow"
"""It is so slow now that what is claimed would not leave in time."""
BREAKER_OPEN: Final = "provider.breaker_open"
EXPIRED: Final = "message.expired"
"""The scheduler, which gets it back, tells so."""


class Obstacle(NamedTuple):
    """Why a message goes back, from when on it may come again, and what else has to wait for the same reason."""

    code: str
    retry_at: datetime
    gate: Gate | None = None


class Clearance:
    """Knows what closes a message's way."""

    def __init__(self, numbers: Numbers, health: Health) -> None:
        self._numbers = numbers
        self._health = health

    def obstacle(self, event: MessageReleased, number: Number, now: datetime) -> Obstacle | None:
        """What stands in the way of this message at `now`."""
        if event.expires_at is not None and now >= event.expires_at:
            return Obstacle(EXPIRED, event.expires_at)
        if self._numbers.paused(number) is not None:
            # It may come again at once: the gate holds it, and whoever resumes the number lifts the gate.
            return Obstacle(NUMBER_PAUSED, now, gate_of(number.number_id, now + timedelta(seconds=PAUSED_SECONDS)))
        if (rest := self._numbers.resting(number, event.content)) is not None:
            return Obstacle(TEMPLATE_RESTS, now + timedelta(seconds=rest[1]))
        if (wait := self._health.rest(number)) > 0:
            until = now + timedelta(seconds=wait)
            return Obstacle(NUMBER_RESTS, until, gate_of(number.number_id, until))
        if (wait := self._health.wait(number)) > 0:
            return breaker_open(number, now + timedelta(seconds=wait))
        return None


def breaker_open(number: Number, until: datetime) -> Obstacle:
    """The provider is left alone until then."""
    return Obstacle(BREAKER_OPEN, until, gate_of(number.number_id, until))


def gate_of(number_id: NumberId, until: datetime) -> Gate:
    """The gate in front of everything from this number."""
    return Gate(scope=number_id, tier=Tier.CRITICAL, until=until)
