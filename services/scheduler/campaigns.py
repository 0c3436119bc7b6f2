"""Campaigns: drafted, looked over, started, paused, resumed, canceled. What a started one does is its run's work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import orjson

from services.scheduler.body_faults import refuse, wrong_state
from services.scheduler.campaign_draft import faults_of, lacks_of, spec_of, start_of
from services.scheduler.domain.campaign import Action, Campaign, CampaignState, Change, Run, states_for
from services.scheduler.domain.run import RunKind, RunState
from services.scheduler.payloads.campaigns import CampaignBody, ChangeCampaign
from services.scheduler.runs import cancel_runs, counts, open_run, pause_runs, resume_runs
from services.scheduler.store import campaigns as store
from services.scheduler.store import schedules
from shared.bus.outbox import Unit
from shared.errors import FieldError, Rejected
from shared.http.requests import validate
from shared.ids import NumberId, TenantId, new_id

PAUSED_BY_TENANT: Final = "campaign.paused"


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name something is asked, with which of its keys, and when."""

    tenant_id: TenantId
    key_id: str
    now: datetime

    def change(self, state: CampaignState) -> Change:
        return Change(state, self.now, by=self.key_id)


async def create(unit: Unit, asker: Asker, body: CampaignBody) -> Campaign:
    """A draft. Raises `Rejected` for what is wrong with it; what it lacks can come later."""
    refuse(faults_of(body, asker.now))
    campaign = Campaign(
        id=new_id("cmp"),
        tenant_id=asker.tenant_id,
        name=body.name,
        definition=body.model_dump(mode="json", by_alias=True, exclude_unset=True),
        history=(asker.change(CampaignState.DRAFT),),
        run=None,
        preflight_run_id=None,
        first_due_at=None,
        created_at=asker.now,
        updated_at=asker.now,
    )
    await store.insert(unit.connection, campaign)
    return campaign


async def change(unit: Unit, asker: Asker, campaign_id: str, body: ChangeCampaign) -> Campaign:
    """Fields that are given replace what was there, null takes them away. A preflight of what it was is over."""
    campaign = await _locked(unit, asker, campaign_id, Action.CHANGE)
    given = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    merged = {name: value for name, value in {**campaign.definition, **given}.items() if value is not None}
    definition = validate(CampaignBody, orjson.dumps(merged))
    refuse(faults_of(definition, asker.now))
    if campaign.preflight_run_id is not None:
        await cancel_runs(unit, [campaign.preflight_run_id])
    campaign = replace(campaign, name=definition.name, definition=merged, preflight_run_id=None, updated_at=asker.now)
    await store.update(unit.connection, campaign)
    return campaign


async def delete(unit: Unit, asker: Asker, campaign_id: str) -> None:
    """Only a draft: what was started is history."""
    campaign = await _locked(unit, asker, campaign_id, Action.DELETE)
    if campaign.preflight_run_id is not None:
        await cancel_runs(unit, [campaign.preflight_run_id])
    await store.delete(unit.connection, campaign_id)


async def preflight(unit: Unit, asker: Asker, campaign_id: str) -> Campaign:
    """Look the audience over without sending anything; one that is under way is ended by this one."""
    campaign = await _locked(unit, asker, campaign_id, Action.PREFLIGHT)
    if campaign.preflight_run_id is not None:
        await cancel_runs(unit, [campaign.preflight_run_id])
    run_id = await _opened(unit, asker, campaign, RunKind.PREFLIGHT)
    campaign = replace(campaign, preflight_run_id=run_id, updated_at=asker.now)
    await store.update(unit.connection, campaign)
    return campaign


async def start(unit: Unit, asker: Asker, campaign_id: str) -> Campaign:
    """Freeze the audience and send. Refused where a preflight of this very definition has found nobody to send to."""
    campaign = await _locked(unit, asker, campaign_id, Action.START)
    if campaign.preflight_run_id is not None:
        await _refuse_hopeless(unit, campaign.preflight_run_id)
    run_id = await _opened(unit, asker, campaign, RunKind.CAMPAIGN)
    campaign = replace(
        campaign,
        run=Run(run_id, RunState.EXPANDING, None, None, asker.now),
        first_due_at=start_of(body_of(campaign), asker.now).due_at,
        history=(*campaign.history, asker.change(CampaignState.STARTING)),
        updated_at=asker.now,
    )
    await store.update(unit.connection, campaign)
    return campaign


async def pause(unit: Unit, asker: Asker, campaign_id: str) -> Campaign:
    """Nothing more leaves; what has left stays."""
    campaign = await _locked(unit, asker, campaign_id, Action.PAUSE)
    assert campaign.run is not None
    await pause_runs(unit, [campaign.run.id], PAUSED_BY_TENANT, None)
    return await _came_to(unit, asker, campaign)


async def resume(unit: Unit, asker: Asker, campaign_id: str) -> Campaign:
    """Goes on where it was paused, by whomever."""
    campaign = await _locked(unit, asker, campaign_id, Action.RESUME)
    assert campaign.run is not None
    await resume_runs(unit, [campaign.run.id])
    return await _came_to(unit, asker, campaign)


async def cancel(unit: Unit, asker: Asker, campaign_id: str) -> Campaign:
    """Whatever has not left ends here."""
    campaign = await _locked(unit, asker, campaign_id, Action.CANCEL)
    assert campaign.run is not None
    await cancel_runs(unit, [campaign.run.id])
    return await _came_to(unit, asker, campaign)


def body_of(campaign: Campaign) -> CampaignBody:
    """Its definition."""
    return CampaignBody.model_validate_json(orjson.dumps(campaign.definition))


def unknown() -> Rejected:
    return Rejected("campaign.unknown", "There is no such campaign.", 404)


def number_of(body: CampaignBody, numbers: Mapping[NumberId, Any]) -> NumberId | FieldError:
    """The number it is sent from: the one named, else the only one."""
    if body.from_ is not None:
        named = NumberId(body.from_)
        return named if named in numbers else FieldError("/from", "number.unknown", "is not a number of yours")
    match list(numbers):
        case [only]:
            return only
        case []:
            return FieldError(
                "/from", "number.none", "needs a number, and there is none yet: connect one with POST /api/numbers"
            )
        case _:
            return FieldError("/from", "number.ambiguous", "must name one of your numbers: there are several")


async def _locked(unit: Unit, asker: Asker, campaign_id: str, action: Action) -> Campaign:
    """The campaign, which stays as it is until the transaction ends. Raises `Rejected` where it is in no state for it."""
    campaign = await store.lock(unit.connection, asker.tenant_id, campaign_id)
    if campaign is None:
        raise unknown()
    state = campaign.state(asker.now)
    if state not in states_for(action):
        raise wrong_state("campaign", state, states_for(action), action)
    return campaign


async def _opened(unit: Unit, asker: Asker, campaign: Campaign, kind: RunKind) -> str:
    """A run of the definition. Raises `Rejected` for what it lacks, and what has become wrong with it since."""
    body = body_of(campaign)
    number_id = number_of(body, await store.numbers(unit.connection, asker.tenant_id))
    refuse([*faults_of(body, asker.now), *lacks_of(body), *([number_id] if isinstance(number_id, FieldError) else [])])
    assert not isinstance(number_id, FieldError)
    tenant = await schedules.tenant(unit.connection, asker.tenant_id)
    spec = spec_of(body, number_id, asker.now, tenant.zone, tenant.hours)
    return await open_run(unit, asker.tenant_id, kind, campaign.id, spec, now=asker.now)


async def _refuse_hopeless(unit: Unit, run_id: str) -> None:
    run = await store.pace(unit.connection, run_id)
    if run is None:
        return
    if run["state"] == RunState.FAILED:
        raise Rejected(run["code"], f"The preflight has failed: {run['detail'] or 'it cannot be sent'}.", 409)
    found = (await counts(unit.connection, [run_id])).get(run_id)
    if run["state"] == RunState.ENDED and (found is None or not found.pending):
        raise Rejected(
            "campaign.nobody", "The preflight has found nobody to send to; change the campaign, or preflight it again.", 409
        )


async def _came_to(unit: Unit, asker: Asker, campaign: Campaign) -> Campaign:
    """Write down that it was asked to come to the state in which it is now, after what it has come to by itself before."""
    after = await store.lock(unit.connection, asker.tenant_id, campaign.id)
    assert after is not None  # locked, so nobody has deleted it
    history = campaign.after(asker.change(after.state(asker.now)), asker.now)
    after = replace(after, history=history, updated_at=asker.now)
    await store.update(unit.connection, after)
    return after
