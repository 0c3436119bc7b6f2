"""A campaign: its states and what may be done in each.

    draft ──start──▶ starting ──▶ running ──▶ completed
      │                 │  ▲        │  ▲
      └─delete▶         │  └─resume─┼──┴─ paused ──┐
                        └───────────┴──────────────┴──cancel──▶ canceled
    starting, running, paused ──▶ failed

A campaign that was started is a run, and what it does is the run's doing: its state is read from the run and stored nowhere else,
so the two cannot differ. `starting`: its audience is being found, or its time has not come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from services.scheduler.domain.run import RunState


class CampaignState(StrEnum):
    DRAFT = "draft"
    STARTING = "starting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"


class Action(StrEnum):
    """What a tenant can do to a campaign."""

    CHANGE = "change"
    DELETE = "delete"
    PREFLIGHT = "preflight"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


HISTORY_LIMIT: Final = 200
"""Changes that are kept of a campaign: how it began, and the latest."""
_BEGINNING: Final = 2
_STATES: Final = {
    Action.CHANGE: (CampaignState.DRAFT,),
    Action.DELETE: (CampaignState.DRAFT,),
    Action.PREFLIGHT: (CampaignState.DRAFT,),
    Action.START: (CampaignState.DRAFT,),
    Action.PAUSE: (CampaignState.STARTING, CampaignState.RUNNING),
    Action.RESUME: (CampaignState.PAUSED,),
    Action.CANCEL: (CampaignState.STARTING, CampaignState.RUNNING, CampaignState.PAUSED),
}


def states_for(action: Action) -> tuple[CampaignState, ...]:
    """Those in which it can be done; in the others it is refused and changes nothing."""
    return _STATES[action]


def state_of(run: RunState | None, first_due_at: datetime | None, now: datetime) -> CampaignState:
    """The campaign's state by that of its run; None: it was never started. `first_due_at` is when its first message may leave."""
    match run:
        case None:
            return CampaignState.DRAFT
        case RunState.EXPANDING:
            return CampaignState.STARTING
        case RunState.RUNNING:
            is_early = first_due_at is not None and first_due_at > now
            return CampaignState.STARTING if is_early else CampaignState.RUNNING
        case RunState.PAUSED:
            return CampaignState.PAUSED
        case RunState.CANCELED:
            return CampaignState.CANCELED
        case RunState.ENDED:
            return CampaignState.COMPLETED
        case RunState.FAILED:
            return CampaignState.FAILED


@dataclass(frozen=True, slots=True)
class Change:
    """How a campaign came into a state. `by` is the id of the key that a tenant's request showed; None: the platform did it."""

    state: CampaignState
    at: datetime
    by: str | None = None
    code: str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """What a campaign needs to know of its run. `code` and `detail` say why it is paused or has ended."""

    id: str
    state: RunState
    code: str | None
    detail: str | None
    since: datetime
    """When it came into this state."""


@dataclass(frozen=True, slots=True, repr=False)
class Campaign:
    """As it stands. `definition` holds what its tenant wants to say and to whom, so it has no `repr`."""

    id: str
    tenant_id: str
    name: str
    definition: dict[str, Any]
    history: tuple[Change, ...]
    run: Run | None
    preflight_run_id: str | None
    first_due_at: datetime | None
    created_at: datetime
    updated_at: datetime

    def state(self, now: datetime) -> CampaignState:
        return state_of(self.run.state if self.run else None, self.first_due_at, now)

    def after(self, change: Change, now: datetime) -> tuple[Change, ...]:
        """Its history with one more change, that was asked for."""
        every = (*self.changes(now), change)
        return every if len(every) <= HISTORY_LIMIT else (*every[:_BEGINNING], *every[_BEGINNING - HISTORY_LIMIT :])

    def changes(self, now: datetime) -> Sequence[Change]:
        """All of its history: what was asked of it, and where it has come by itself since."""
        state = self.state(now)
        if self.run is None or self.history[-1].state is state:
            return self.history
        begun = self.run.since if self.first_due_at is None else max(self.run.since, self.first_due_at)
        at = begun if state is CampaignState.RUNNING else self.run.since
        return *self.history, Change(state, at, code=self.run.code, detail=self.run.detail)
