"""Ask for the messages of runs as their recipients come due, fairly between tenants and runs, and see runs to their end.

A round locks some runs that want a look, the first of each tenant before the second of any, and takes a bounded number of
recipients of each. So any number of replicas work side by side without a leader, and a run of one waits for a round, not for a run
of a million. A run wants a look when its next recipient is due, when its counts have changed, and for a while after it was paused
or canceled, in case a message of it slipped through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson
import structlog

from services.scheduler.domain.dispatch import CHUNK, Standing, Step, lead_of, look_again, spend, step
from services.scheduler.domain.hours import NeverOpenError, open_span
from services.scheduler.domain.pacing import Allowance
from services.scheduler.domain.run import (
    EXPIRED,
    FAILURE_RATE,
    NEVER_OPEN,
    RUN_CANCELED,
    RUN_FAILED,
    RecipientState,
    RunState,
    RunTerms,
)
from services.scheduler.runs import CANCEL_LIMIT, withdraw
from services.scheduler.store import recipients as ledger
from services.scheduler.store import runs as store
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import MessageRequested
from shared.ids import MessageId, TenantId, new_id

log = structlog.get_logger(__name__)

RUNS_LIMIT: Final = 64
RUNS_OF_A_TENANT: Final = 32
ROUND_LIMIT: Final = 2_000
"""Recipients in a round, all runs together."""
LOOK_LIMIT: Final = 100
"""Recipients looked at, however few may go: those whose time is over, or not yet, cost no allowance."""
FOLD_LIMIT: Final = 5_000
FAILURE_DETAIL: Final = "Too many of its messages have failed; resume it when the reason is found."


@dataclass(slots=True)
class _Run:
    """One of a round."""

    row: asyncpg.Record
    standing: Standing
    step: Step
    seen: int = 0
    requested: int = 0
    limit: int = 0

    @property
    def id(self) -> str:
        run_id: str = self.row["id"]
        return run_id


@dataclass(slots=True)
class _Sorted:
    """What becomes of the recipients of a round."""

    requests: list[tuple[str, int, str, datetime]] = field(default_factory=list)
    events: list[MessageRequested] = field(default_factory=list)
    postponed: list[tuple[str, int, datetime]] = field(default_factory=list)
    expired: list[ledger.Place] = field(default_factory=list)
    unusable: list[ledger.Place] = field(default_factory=list)


async def dispatch(outbox: Outbox) -> bool:
    """One round; True where there may be more to do at once."""
    async with outbox.transaction() as unit:
        rows = await store.ready(unit.connection, limit=RUNS_LIMIT, limit_per_tenant=RUNS_OF_A_TENANT)
        if not rows:
            return False
        now: datetime = rows[0]["now"]
        terms = {row["id"]: RunTerms.model_validate_json(row["terms"]) for row in rows}
        paced = {run_id for run_id, of_run in terms.items() if of_run.pacing is not None}
        weights = await store.weigh(unit.connection, rows, paced)
        runs = [_run(row, terms[row["id"]], weights[row["id"]], now) for row in rows]
        await _take_back(unit, runs)
        await _hand_out(unit, [run for run in runs if run.step.quota], now)
        await store.tend(unit.connection, [_tended(run, now) for run in runs])
    for run in runs:
        if run.step.ends:
            log.info("run.ended", run_id=run.id, state=RunState.ENDED)
        elif run.step.stops:
            log.info("run.paused", run_id=run.id, code=FAILURE_RATE, tried=run.standing.tried, failed=run.standing.failed)
    return any(run.seen for run in runs)


async def fold(outbox: Outbox) -> bool:
    """Add up what has changed and have the dispatch look at it; True where there may be more."""
    async with outbox.transaction() as unit:
        return await store.fold(unit.connection, limit=FOLD_LIMIT) == FOLD_LIMIT


def _run(row: asyncpg.Record, terms: RunTerms, weight: store.Weight, now: datetime) -> _Run:
    standing = Standing(
        state=RunState(row["state"]),
        since=row["since"],
        is_expanded=row["is_expanded"],
        terms=terms,
        pending=weight.pending,
        requested=weight.requested,
        tardy=weight.tardy,
        tried=weight.tried - row["base_sent"],
        failed=weight.failed - row["base_failed"],
        messages_per_second=weight.messages_per_second,
        allowance=Allowance() if row["paced_at"] is None else Allowance(row["tokens"], row["paced_seconds"]),
        paced_at=row["paced_at"],
    )
    return _Run(row, standing, step(standing, now))


async def _take_back(unit: Unit, runs: Sequence[_Run]) -> None:
    """What waits of runs that are paused, or are from now on, and of those that have been stopped; and the rest of the latter."""
    states = {run.id: run.standing.state for run in runs}
    paused = [run.id for run in runs if states[run.id] is RunState.PAUSED or run.step.stops]
    await withdraw(unit, paused, [run_id for run_id, state in states.items() if state in {RunState.CANCELED, RunState.FAILED}])
    for state, code in ((RunState.CANCELED, RUN_CANCELED), (RunState.FAILED, RUN_FAILED)):
        ending = {run.id: run for run in runs if states[run.id] is state and run.standing.pending}
        if ending:
            ended = await ledger.cancel_pending(unit.connection, list(ending), code, limit=CANCEL_LIMIT)
            if ended == CANCEL_LIMIT:
                for run in ending.values():
                    run.seen = ended


async def _hand_out(unit: Unit, runs: Sequence[_Run], now: datetime) -> None:
    if not runs:
        return
    share = max(1, min(CHUNK, ROUND_LIMIT // len(runs)))
    for run in runs:
        run.limit = min(share, max(run.step.quota, LOOK_LIMIT))
    rows = await ledger.take_pending(unit.connection, [(run.id, run.limit, lead_of(run.standing.terms)) for run in runs])
    if not rows:
        return
    batch = _sort({run.id: run for run in runs}, rows, now)
    if batch.requests:
        await ledger.request(unit.connection, batch.requests)
        unit.emit(*batch.events)
    if batch.postponed:
        await ledger.postpone(unit.connection, batch.postponed)
    if batch.expired:
        await ledger.end(unit.connection, batch.expired, RecipientState.EXPIRED, EXPIRED)
    if batch.unusable:
        await ledger.end(unit.connection, batch.unusable, RecipientState.REJECTED, NEVER_OPEN)


def _sort(runs: Mapping[str, _Run], rows: Sequence[asyncpg.Record], now: datetime) -> _Sorted:
    batch = _Sorted()
    openings: dict[tuple[str, str, datetime], datetime | None] = {}
    for row in rows:
        run = runs[row["run_id"]]
        run.seen += 1
        place, terms = (row["run_id"], row["position"]), run.standing.terms
        due_at = max(row["due_at"], now)
        if row["expires_at"] is not None and row["expires_at"] <= now:
            batch.expired.append(place)
            continue
        if terms.hours is not None:
            key = (run.id, row["zone"], due_at)
            if key not in openings:
                openings[key] = _opening(terms, row["zone"], due_at)
            opening = openings[key]
            if opening is None:
                batch.unusable.append(place)
                continue
            if opening > due_at:
                batch.postponed.append((*place, opening))
                continue
        if run.requested < run.step.quota:
            run.requested += 1
            message_id = MessageId(new_id("msg"))
            batch.requests.append((*place, message_id, due_at))
            batch.events.append(_requested(run, row, message_id, due_at))
    return batch


def _opening(terms: RunTerms, zone: str, due_at: datetime) -> datetime | None:
    assert terms.hours is not None
    try:
        return open_span(terms.hours, zone, due_at)[0]
    except NeverOpenError:
        return None


def _requested(run: _Run, row: asyncpg.Record, message_id: MessageId, due_at: datetime) -> MessageRequested:
    terms = run.standing.terms
    content: dict[str, Any] = orjson.loads(row["content"])
    return MessageRequested(
        tenant_id=TenantId(run.row["tenant_id"]),
        message_id=message_id,
        run_id=run.id,
        number_id=terms.number_id,
        contact_id=row["contact_id"],
        to=row["phone"],
        content=content,
        tier=terms.tier,
        not_before=due_at,
        expires_at=row["expires_at"],
        on_unknown=terms.on_unknown,
        needs_consent=terms.needs_consent,
        hours=None if terms.hours is None else terms.hours.model_copy(update={"zone": row["zone"]}),
        reference=terms.reference,
        metadata=terms.metadata,
    )


def _tended(run: _Run, now: datetime) -> store.Tended:
    standing, allowance, paced_at = run.standing, run.step.allowance, run.standing.paced_at
    if standing.terms.pacing is not None and (paced_at is not None or run.requested):
        allowance, paced_at = spend(allowance, run.requested), now
    state, code, detail = standing.state, run.row["code"], run.row["detail"]
    if run.step.ends:
        state, code, detail = RunState.ENDED, None, None
    elif run.step.stops:
        state, code, detail = RunState.PAUSED, FAILURE_RATE, FAILURE_DETAIL
    again, with_next = look_again(standing, run.step, allowance, now, is_more=run.seen == run.limit > 0)
    if state in {RunState.CANCELED, RunState.FAILED} and run.seen:
        again = now
    lead: timedelta | None = lead_of(standing.terms) if with_next else None
    return store.Tended(run.id, state, code, detail, allowance, paced_at, again, lead)
