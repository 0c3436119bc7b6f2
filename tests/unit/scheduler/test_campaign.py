"""The states of a campaign."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.scheduler.domain.campaign import Action, Campaign, CampaignState, Change, Run, state_of, states_for
from services.scheduler.domain.run import RunState

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
DRAFTED, STARTED = Change(CampaignState.DRAFT, NOW - timedelta(hours=2), "k"), Change(CampaignState.STARTING, NOW, "k")


def campaign(run: Run | None, *history: Change, first_due_at: datetime | None = None) -> Campaign:
    return Campaign(
        id="cmp_1",
        tenant_id="tnt_1",
        name="n",
        definition={},
        history=(DRAFTED, *history),
        run=run,
        preflight_run_id=None,
        first_due_at=first_due_at,
        created_at=NOW,
        updated_at=NOW,
    )


@pytest.mark.parametrize(
    ("run", "first_due_at", "state"),
    [
        (None, None, CampaignState.DRAFT),
        (RunState.EXPANDING, NOW, CampaignState.STARTING),
        (RunState.RUNNING, NOW, CampaignState.RUNNING),
        (RunState.RUNNING, LATER, CampaignState.STARTING),
        (RunState.PAUSED, LATER, CampaignState.PAUSED),
        (RunState.CANCELED, LATER, CampaignState.CANCELED),
        (RunState.ENDED, NOW, CampaignState.COMPLETED),
        (RunState.FAILED, NOW, CampaignState.FAILED),
    ],
)
def test_the_state_is_that_of_the_run(run: RunState | None, first_due_at: datetime | None, state: CampaignState) -> None:
    assert state_of(run, first_due_at, NOW) is state


def test_every_state_of_a_run_is_one_of_a_campaign() -> None:
    assert {state_of(run, None, NOW) for run in RunState} == set(CampaignState) - {CampaignState.DRAFT}


def test_nothing_can_be_done_to_what_has_ended() -> None:
    final = {CampaignState.COMPLETED, CampaignState.CANCELED, CampaignState.FAILED}
    assert {state for action in Action for state in states_for(action)} == set(CampaignState) - final


def test_what_it_came_to_by_itself_stands_last_in_its_history() -> None:
    assert list(campaign(None).changes(NOW)) == [DRAFTED]
    expanding = Run("run_1", RunState.EXPANDING, None, None, NOW)
    assert list(campaign(expanding, STARTED, first_due_at=NOW).changes(NOW)) == [DRAFTED, STARTED]
    running = Run("run_1", RunState.RUNNING, None, None, NOW)
    begun = Change(CampaignState.RUNNING, LATER)
    assert list(campaign(running, STARTED, first_due_at=LATER).changes(LATER)) == [DRAFTED, STARTED, begun]
    stopped = Run("run_1", RunState.PAUSED, "run.failure_rate", "too many", LATER)
    told = Change(CampaignState.PAUSED, LATER, None, "run.failure_rate", "too many")
    assert list(campaign(stopped, STARTED, begun).changes(LATER)) == [DRAFTED, STARTED, begun, told]
