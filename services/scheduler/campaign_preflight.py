"""What a preflight has found: to how many a campaign would go, to whom not and why, how long it would take, what to think about."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

import asyncpg

from services.scheduler.campaign_draft import start_of, variants_of
from services.scheduler.campaign_reports import Limits, estimated_end
from services.scheduler.domain.campaign import Campaign
from services.scheduler.domain.obstacle import OPTED_OUT, is_free_form, template_of
from services.scheduler.domain.run import RunCounts, RunState, RunTerms
from services.scheduler.payloads.campaigns import Budget, CampaignBody, Estimate, PreflightState, PreflightView, Warned
from services.scheduler.runs import counts
from services.scheduler.store import campaigns as store
from shared.db.pool import Connection, Pool
from shared.ids import TenantId

_NAME: Final = re.compile(r"\{\{([^{}]+)\}\}")
INVALID: Final = frozenset({"phone.invalid", "contact.no_phone"})
MISSING: Final = "variable.missing"
_STATES: Final = {
    RunState.EXPANDING: PreflightState.RUNNING,
    RunState.RUNNING: PreflightState.RUNNING,
    RunState.PAUSED: PreflightState.RUNNING,
    RunState.ENDED: PreflightState.DONE,
    RunState.CANCELED: PreflightState.FAILED,
    RunState.FAILED: PreflightState.FAILED,
}


@dataclass(frozen=True, slots=True)
class _Findings:
    """What the warnings go by."""

    body: CampaignBody
    run: asyncpg.Record
    number: asyncpg.Record | None
    counts: RunCounts
    budget: Budget | None
    estimate: Estimate | None = None


async def look(connection: Connection | Pool, campaign: Campaign, body: CampaignBody, now: datetime) -> PreflightView | None:
    """What it has found so far. None: there is none of this definition, or it is forgotten."""
    run_id = campaign.preflight_run_id
    run = None if run_id is None else await store.pace(connection, run_id)
    if run_id is None or run is None:
        return None
    state = _STATES[RunState(run["state"])]
    found = (await counts(connection, [run_id])).get(run_id, RunCounts())
    faults = await store.faults(connection, run_id) if found.rejected else []
    by_code: Counter[str] = Counter()
    for row in faults:
        by_code[row["code"]] += row["recipients"]
    number = (await store.numbers(connection, TenantId(campaign.tenant_id))).get(run["number_id"])
    is_done = state is PreflightState.DONE
    findings = _Findings(body, run, number, found, _budget(body, number, found.pending))
    if is_done and found.pending:
        estimate = await _estimate(connection, run_id, findings, start_of(body, now).due_at, now)
        findings = replace(findings, estimate=estimate)
    return PreflightView(
        state=state,
        code=run["code"],
        detail=run["detail"],
        audience_size=found.total,
        sendable=found.pending,
        duplicates=found.duplicates,
        invalid=sum(by_code[code] for code in INVALID),
        opted_out=by_code[OPTED_OUT],
        missing_variables=_missing(faults),
        faults=dict(by_code),
        budget=findings.budget,
        estimate=findings.estimate,
        warnings=[] if state is PreflightState.FAILED else await _warnings(connection, run_id, findings, is_done=is_done),
    )


def _missing(faults: Sequence[asyncpg.Record]) -> dict[str, int]:
    """By variable, how many have none: a fault's detail names those that are missing."""
    names: Counter[str] = Counter()
    for row in faults:
        if row["code"] == MISSING:
            for name in set(_NAME.findall(row["detail"] or "")):
                names[name] += row["recipients"]
    return dict(names)


def is_free_text(body: CampaignBody) -> bool:
    """True where nothing is sent that could be a template: then nobody is written to who has not written first."""
    return all(variant.content is not None and is_free_form(variant.content) for variant in variants_of(body))


def _budget(body: CampaignBody, number: asyncpg.Record | None, wanted: int) -> Budget | None:
    if number is None or is_free_text(body):
        return None
    per_day = number["unique_users_per_day"]
    return Budget(
        portfolio_id=number["portfolio_id"] or number["account_id"],
        unique_users_per_day=per_day,
        wanted=wanted,
        days=1 if per_day is None else max(1, math.ceil(wanted / per_day)),
    )


async def _estimate(
    connection: Connection | Pool, run_id: str, findings: _Findings, starts_at: datetime, now: datetime
) -> Estimate | None:
    number, budget = findings.number, findings.budget
    if number is None:
        return None
    limits = Limits(
        RunTerms.model_validate_json(findings.run["terms"]),
        number["messages_per_second"],
        per_day=None if budget is None else budget.unique_users_per_day,
    )
    end = await estimated_end(connection, run_id, findings.counts.pending, limits, now)
    return Estimate(
        messages_per_second=round(limits.pace.top, 2),
        starts_at=starts_at,
        ends_at=end,
        seconds=None if end is None else math.ceil((end - max(now, starts_at)).total_seconds()),
    )


async def _warnings(connection: Connection | Pool, run_id: str, findings: _Findings, *, is_done: bool) -> list[Warned]:
    number = findings.number
    warnings = [*_found_warnings(findings, is_done=is_done), *_time_warnings(findings)]
    if number is None:
        return [*warnings, Warned(code="number.unknown", detail="The number to send from is not connected any more.")]
    if number["paused"] is not None:
        warnings.append(Warned(code=number["paused"], detail="The number is paused: nothing leaves until it is resumed."))
    warnings += await _template_warnings(connection, findings.body, number)
    if is_done and is_free_text(findings.body) and number["enforces_windows"]:
        closed, seen = await store.closed_windows(connection, run_id, number["number_id"])
        if closed:
            detail = f"{closed} of {seen} have not written to this number within 24 hours: free text to them will be refused."
            warnings.append(Warned(code="window.closed", detail=detail))
    return warnings


def _found_warnings(findings: _Findings, *, is_done: bool) -> Iterator[Warned]:
    counts, budget = findings.counts, findings.budget
    if is_done and not counts.pending:
        yield Warned(code="audience.nobody", detail="There is nobody to send to.")
    if counts.rejected:
        yield Warned(code="recipients.rejected", detail=f"{counts.rejected} recipients will get nothing; `faults` says why.")
    if budget is not None and budget.days > 1:
        yield Warned(
            code="budget.exceeded",
            detail=f"{budget.wanted} recipients are more than the {budget.unique_users_per_day} users that the number's portfolio "
            f"may write to in 24 hours: it takes {budget.days} days at least, and nothing else of the portfolio can be sent.",
        )


def _time_warnings(findings: _Findings) -> Iterator[Warned]:
    estimate, terms = findings.estimate, RunTerms.model_validate_json(findings.run["terms"])
    if estimate is None:
        return
    if estimate.ends_at is None:
        yield Warned(code="estimate.too_long", detail="At the allowed rates it takes longer than half a year.")
    if terms.expires_at is not None and (estimate.ends_at is None or estimate.ends_at > terms.expires_at):
        yield Warned(code="expires.before_end", detail="Some will expire: `expires_at` is before the estimated end.")
    if terms.ttl_seconds is not None and estimate.seconds is not None and estimate.seconds > terms.ttl_seconds:
        yield Warned(
            code="expires.before_end", detail="Some will expire: `ttl_seconds` is shorter than the estimated duration."
        )


async def _template_warnings(connection: Connection | Pool, body: CampaignBody, number: asyncpg.Record) -> list[Warned]:
    named = [variant.content and template_of(variant.content) for variant in variants_of(body)]
    templates = [template for template in named if template]
    if not templates or number["account_id"] is None:
        return []
    held = await store.held_templates(connection, number["account_id"], templates)
    return [
        Warned(code=row["held"], detail=f"The template {row['template']} cannot be sent now: its messages wait until it can.")
        for row in held
    ]
