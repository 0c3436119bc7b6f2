"""The planner: opens the runs of schedules whose time has come, and moves each schedule on to its next occurrence.

A run is opened `LEAD` before its time, so that its audience is found and its messages are ready when it is due. What meets a run of
the same schedule that is still on is decided when it is due and no sooner: the run may have ended by then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, Final

import asyncpg
import orjson
import structlog

from services.scheduler.domain.run import RunKind, RunSpec
from services.scheduler.domain.schedule import (
    Occurrence,
    Overlap,
    ScheduleState,
    Timing,
    occurrence_at,
    occurrences,
    turn,
)
from services.scheduler.runs import cancel_runs, open_run
from services.scheduler.store import schedules as store
from services.scheduler.store.schedules import Step, Tenant
from shared.bus.outbox import Outbox, Unit
from shared.events.catalogue import TenantChanged
from shared.events.values import Hours, Tier
from shared.ids import TenantId

log = structlog.get_logger(__name__)

LEAD: Final = timedelta(minutes=2)
ROUND: Final = 200
"""Schedules looked at in one transaction."""
MOST_AT_ONCE: Final = 50
"""Occurrences of one schedule that a round takes up; with more of them, from an outage, it goes on in the next."""
MOST_OPENED: Final = 500
"""Runs opened in one transaction, or hardly more."""
WATCH: Final = (timedelta(seconds=10), timedelta(minutes=5))
"""Between two looks at whether the last run has ended: the longer it is on, the rarer."""
WAITING_WATCH: Final = (timedelta(seconds=1), timedelta(seconds=30))
"""The same, where an occurrence waits for it."""
SET_ASIDE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Planned:
    step: Step
    tenant_id: TenantId
    cancels: bool
    opens: Sequence[tuple[datetime, RunSpec]]
    """By occurrence."""


async def plan(outbox: Outbox, now: datetime) -> bool:
    """Look at those whose time it is; True where there may be more."""
    async with outbox.transaction() as unit:
        rows = await store.claim(unit.connection, now, ROUND)
        if not rows:
            return False
        runs = await store.open_runs(unit.connection, [row["id"] for row in rows])
        # Rules are the tenants', and one can take a tenth of a second to follow.
        planned, broken = await asyncio.to_thread(_planned_all, rows, {run["schedule_id"]: run["due_at"] for run in runs}, now)
        if broken:
            await store.postpone(unit.connection, broken, now + SET_ASIDE)
        canceling = {one.step.id for one in planned if one.cancels}
        if canceling:
            await cancel_runs(unit, [run["run_id"] for run in runs if run["schedule_id"] in canceling])
        await _open(unit, planned, now)
        if planned:
            await store.advance(unit.connection, [one.step for one in planned])
    left = len(rows) == ROUND or len(planned) + len(broken) < len(rows)
    return left or any(one.step.plan_at is not None and one.step.plan_at <= now for one in planned)


async def know_tenants(outbox: Outbox, events: Sequence[TenantChanged]) -> None:
    """Keep the tenants' zones and hours; they count for what is opened from now on."""
    async with outbox.transaction() as unit:
        await store.know_tenants(unit.connection, events)


def plan_at(next_at: datetime | None, now: datetime) -> datetime:
    """When the planner looks at a schedule that is next due then."""
    return now if next_at is None else max(now, next_at - LEAD)


def run_spec(spec: Mapping[str, Any], occurrence: Occurrence, tenant: Tenant) -> RunSpec:
    """What a run of the schedule is to do."""
    due_at = occurrence.due_at if occurrence.local_time is None else None
    return RunSpec.model_validate(
        {**spec, "due_at": due_at, "local_time": occurrence.local_time, "hours": hours_for(spec, tenant)}
    )


def hours_for(spec: Mapping[str, Any], tenant: Tenant) -> Hours | None:
    """Its own hours, else the tenant's; none for what is critical."""
    if spec["tier"] == Tier.CRITICAL:
        return None
    if spec["hours"] is None:
        return tenant.hours
    own = Hours.model_validate({**spec["hours"], "zone": spec["default_zone"] or tenant.zone})
    return own if own.quiet or own.allowed else None


async def _open(unit: Unit, planned: Sequence[_Planned], now: datetime) -> None:
    opened: list[tuple[str, str, datetime]] = []
    for one in planned:
        for due_at, spec in one.opens:
            run_id = await open_run(unit, one.tenant_id, RunKind.OCCURRENCE, one.step.id, spec, now=now)
            opened.append((run_id, one.step.id, due_at))
    if opened:
        await store.add_runs(unit.connection, opened, now)


def _planned_all(rows: Sequence[asyncpg.Record], on: Mapping[str, datetime], now: datetime) -> tuple[list[_Planned], list[str]]:
    """What is to be done with the schedules, as many as a round can open runs of, and those that cannot be read. `on`: those with a
    run that is on, and the occurrence it is for."""
    planned: list[_Planned] = []
    broken: list[str] = []
    opening = 0
    for row in rows:
        if opening >= MOST_OPENED:
            break
        try:
            one = _planned(row, on.get(row["id"]), now)
        except Exception:  # one that cannot be read must not stop the others
            log.exception("schedule.unreadable", schedule_id=row["id"])
            broken.append(row["id"])
        else:
            planned.append(one)
            opening += len(one.opens)
    return planned, broken


def _planned(row: asyncpg.Record, on_since: datetime | None, now: datetime) -> _Planned:
    timing, overlap, is_busy = Timing.model_validate_json(row["timing"]), Overlap(row["overlap"]), on_since is not None
    next_at, opened, missed_at = row["next_at"], row["opened"], None
    waiting = [occurrence_at(timing, moment) for moment in row["waiting"]]
    oldest = now - timedelta(seconds=row["catchup_seconds"])
    if next_at is not None and next_at < oldest:
        missed_at, next_at = next_at, _after(timing, oldest - timedelta(microseconds=1))
        log.info("schedule.slept_through", schedule_id=row["id"], since=missed_at.isoformat())
    due = [] if next_at is None else _due(timing, next_at, now, overlap, is_free=not is_busy and not waiting)
    if timing.count is not None:
        due = due[: max(0, timing.count - opened - len(waiting))]
    taken = turn(overlap, waiting, due, is_busy=is_busy)
    opened += len(taken.opens)
    if due:
        next_at = _after(timing, due[-1].due_at)
    if timing.count is not None and opened + len(taken.waits) >= timing.count:
        next_at = None
    waits = [occurrence.due_at for occurrence in taken.waits]
    since = taken.opens[-1].due_at if taken.opens else on_since
    is_over = since is None and not waits and next_at is None
    step = Step(
        id=row["id"],
        state=ScheduleState.COMPLETED if is_over else ScheduleState.ACTIVE,
        next_at=next_at,
        plan_at=None if is_over else _look(next_at, now, since, overlap, waits),
        waiting=waits,
        opened=opened,
        missed_at=missed_at,
    )
    tenant, spec = store.tenant_in(row), orjson.loads(row["spec"])
    opens = [(occurrence.due_at, run_spec(spec, occurrence, tenant)) for occurrence in taken.opens]
    return _Planned(step, TenantId(row["tenant_id"]), taken.cancels, opens)


def _due(timing: Timing, next_at: datetime, now: datetime, overlap: Overlap, *, is_free: bool) -> list[Occurrence]:
    """Those to decide on now: all that are due, and ahead of its time the next one where no run is in its way."""
    first = occurrence_at(timing, next_at)
    if next_at > now + LEAD or (next_at > now and not is_free and overlap is not Overlap.ALLOW_ALL):
        return []
    until = now + LEAD if overlap is Overlap.ALLOW_ALL else now
    rest = takewhile(lambda occurrence: occurrence.due_at <= until, occurrences(timing, next_at))
    return [first, *islice(rest, MOST_AT_ONCE - 1)]


def _after(timing: Timing, moment: datetime) -> datetime | None:
    return next((occurrence.due_at for occurrence in occurrences(timing, moment)), None)


def _look(
    next_at: datetime | None, now: datetime, since: datetime | None, overlap: Overlap, waits: Sequence[datetime]
) -> datetime:
    """When the planner looks again. `since`: the occurrence of the run that is on."""
    looks = [_watch(WAITING_WATCH, now, since)] if waits else []
    if next_at is None:
        looks.append(_watch(WATCH, now, since))
    else:
        ahead = next_at - LEAD
        has_to_wait = since is not None and overlap is not Overlap.ALLOW_ALL
        looks.append(next_at if has_to_wait and ahead <= now else ahead)
    return min(looks)


def _watch(bounds: tuple[timedelta, timedelta], now: datetime, since: datetime | None) -> datetime:
    """The next look at a run that is on: after a twentieth of the time that it has been."""
    first = now if since is None else max(now, since)
    age = timedelta() if since is None else now - since
    return first + min(max(bounds[0], age / 20), bounds[1])
