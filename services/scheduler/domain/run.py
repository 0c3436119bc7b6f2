"""A run: one occasion on which something goes to an audience.

      open ──▶ expanding ──last page──▶ running ──nobody left──▶ ended
                │     ▲                 │    ▲
                └pause┴──── paused ◀────┘    │      ended by itself too, where nobody is left
                              └───resume─────┘
      expanding, running, paused ──cancel──▶ canceled
      expanding, paused ──no such audience──▶ failed

Each of its recipients ends in one state and stays in it; only of an `unknown` one a late report may tell that it was sent, or not:

      pending ◀──pause──▶ requested ──▶ sent | failed | rejected | canceled | expired | suppressed | unknown
         └──────────────────────────────────────▶ canceled | expired
      found with a fault ───────────────────────▶ rejected
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from pydantic import AwareDatetime, Field, NaiveDatetime

from shared.events.values import Audience, Hours, OnUnknown, Tier, Variant
from shared.ids import NumberId
from shared.personal import Model


class RunKind(StrEnum):
    OCCURRENCE = "occurrence"
    """Of a schedule."""
    CAMPAIGN = "campaign"
    PREFLIGHT = "preflight"
    """Finds its audience and sends nothing."""


class RunState(StrEnum):
    EXPANDING = "expanding"
    """Its audience is being found; nothing leaves before it is complete."""
    RUNNING = "running"
    PAUSED = "paused"
    CANCELED = "canceled"
    ENDED = "ended"
    FAILED = "failed"


class RecipientState(StrEnum):
    PENDING = "pending"
    REQUESTED = "requested"
    """There is a message, or will be in a moment."""
    SENT = "sent"
    FAILED = "failed"
    REJECTED = "rejected"
    """There was never a message."""
    CANCELED = "canceled"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"
    UNKNOWN = "unknown"
    """The provider may have sent it; no report can come any more."""

    @property
    def is_final(self) -> bool:
        return self not in {RecipientState.PENDING, RecipientState.REQUESTED}


class Pacing(Model):
    """No faster than `messages_per_minute`; from `ramp_from` a minute, rising evenly over `ramp_minutes` of running."""

    messages_per_minute: int = Field(ge=1)
    ramp_from: int | None = Field(default=None, ge=1)
    ramp_minutes: int | None = Field(default=None, ge=1)


class FailureStop(Model):
    """Pause when more than `rate` (0..1) of what was sent or failed has failed, once so many have."""

    rate: float
    after: int = Field(default=100, ge=1)


class RunTerms(Model):
    """What a run does with those whom it has found."""

    number_id: NumberId
    tier: Tier = Tier.NORMAL
    due_at: AwareDatetime | None = None
    """One moment for all. One of this and `local_time`; with neither it is now."""
    local_time: NaiveDatetime | None = None
    """A wall time, in each recipient's own zone."""
    hours: Hours | None = None
    """Evaluated in each recipient's zone."""
    ttl_seconds: int | None = None
    """From the moment on at which a message is due."""
    expires_at: AwareDatetime | None = None
    """For all; the earlier of the two counts."""
    on_unknown: OnUnknown = OnUnknown.WAIT
    needs_consent: bool = True
    reference: str | None = None
    metadata: dict[str, str] | None = None
    pacing: Pacing | None = None
    failure_stop: FailureStop | None = None


class RunAsking(Model):
    """Whom a run wants found, and what it says to them."""

    audience: Audience
    variants: list[Variant]
    default_zone: str | None = None
    """For recipients whose zone nobody knows; None: the tenant's."""


class RunSpec(RunTerms, RunAsking):
    """All that a run is to do."""


FAILURE_RATE: Final = "run.failure_rate"
RUN_CANCELED: Final = "run.canceled"
RUN_FAILED: Final = "run.failed"
EXPIRED: Final = "message.expired"
NEVER_OPEN: Final = "hours.unusable"
ANYWHERE: Final = "UTC"
"""For a time zone that nobody knows."""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How many of a run's recipients are in which state, and beside it what is known of them."""

    pending: int = 0
    requested: int = 0
    sent: int = 0
    failed: int = 0
    rejected: int = 0
    canceled: int = 0
    expired: int = 0
    suppressed: int = 0
    unknown: int = 0
    duplicates: int = 0
    """Found again; not among the others."""
    delivered: int = 0
    read: int = 0
    undelivered: int = 0
    """The provider took them and reported a failure later; their state is what it was."""

    @property
    def outstanding(self) -> int:
        return self.requested

    @property
    def ended(self) -> Mapping[str, int]:
        """By terminal state; only those that occur."""
        return {state: count for state in RecipientState if state.is_final and (count := self.of(state))}

    @property
    def total(self) -> int:
        return sum(self.of(state) for state in RecipientState)

    def of(self, state: RecipientState) -> int:
        count: int = getattr(self, state.value)
        return count


COUNTED: Final = tuple(field.name for field in fields(RunCounts))


def has_failed_too_often(stop: FailureStop | None, tried: int, failed: int) -> bool:
    """Of those tried since the run was started or last resumed, so many have failed."""
    return stop is not None and tried >= stop.after and failed > stop.rate * tried


def expiry(terms: RunTerms, due_at: datetime) -> datetime | None:
    """After which a message that is due then is not sent."""
    by_ttl = None if terms.ttl_seconds is None else due_at + timedelta(seconds=terms.ttl_seconds)
    return min((moment for moment in (by_ttl, terms.expires_at) if moment is not None), default=None)
