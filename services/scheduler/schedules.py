"""Schedules: made, changed, paused, resumed, triggered, canceled. What they open is the planner's work."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
import orjson

from services.scheduler.body_faults import refuse, wrong_state
from services.scheduler.domain.run import RunKind
from services.scheduler.domain.schedule import Occurrence, ScheduleState, Timing, next_occurrences, occurrence_at, once
from services.scheduler.payloads.schedules import ChangeSchedule, PreviewBody, ScheduleBody, TimingBody
from services.scheduler.planner import plan_at, run_spec
from services.scheduler.runs import cancel_runs, open_run, pause_runs, resume_runs
from services.scheduler.schedule_meaning import Moments, spec_of, timing_of
from services.scheduler.store import schedules as store
from services.scheduler.store.schedules import Definition, Selection
from shared.bus.outbox import Unit
from shared.db.pool import Connection
from shared.errors import FieldError, Rejected
from shared.http.requests import validate
from shared.ids import TenantId, new_id

PAUSED_BY_TENANT: Final = "schedule.paused"
CANCEL_BATCH: Final = 10_000
"""Schedules canceled by one statement, which has to end in seconds."""
_OPEN: Final = (ScheduleState.ACTIVE, ScheduleState.PAUSED)


@dataclass(frozen=True, slots=True)
class Asker:
    """In whose name something is asked, and when."""

    tenant_id: TenantId
    now: datetime


async def create(unit: Unit, asker: Asker, body: ScheduleBody) -> asyncpg.Record:
    """A new schedule. Raises `Rejected` for what is wrong with it."""
    tenant = await store.tenant(unit.connection, asker.tenant_id)
    when = await asyncio.to_thread(_when, body, Moments(asker.now, asker.now, tenant.zone), 0)
    definition = await _definition(unit.connection, asker, body, when, plan_at(when.next_at, asker.now))
    schedule_id = new_id("sch")
    await store.insert(unit.connection, schedule_id, asker.tenant_id, definition, asker.now)
    return await _read(unit, asker, schedule_id)


async def change(unit: Unit, asker: Asker, schedule_id: str, body: ChangeSchedule) -> asyncpg.Record:
    """Fields that are given replace what was there, null takes them away. What was opened ahead of its time is taken back and comes
    by the new definition; a run that has begun goes on as it was. Without a field of its timing its times stay as they are."""
    row = await _locked(unit, asker, schedule_id, _OPEN, "change")
    given = body.model_dump(mode="json", by_alias=True, exclude_unset=True)
    merged = {name: value for name, value in {**orjson.loads(row["definition"]), **given}.items() if value is not None}
    whole = validate(ScheduleBody, orjson.dumps(merged))
    timing: Timing = Timing.model_validate_json(row["timing"])
    opened, next_at = await _without_early_runs(unit, row, asker.now)
    if not timing.is_recurring and next_at is None:
        raise Rejected("schedule.begun", "It has begun; cancel it, and make a new schedule for another time.", 409)
    is_retimed = bool(body.model_fields_set & TimingBody.model_fields.keys())
    if is_retimed:
        tenant = await store.tenant(unit.connection, asker.tenant_id)
        when = await asyncio.to_thread(_when, whole, Moments(row["created_at"], asker.now, tenant.zone), opened)
    else:
        when = _When(timing, next_at)
    definition = await _definition(unit.connection, asker, whole, when, asker.now)
    await store.redefine(unit.connection, schedule_id, definition, opened, asker.now, is_retimed=is_retimed)
    return await _read(unit, asker, schedule_id)


async def pause(unit: Unit, asker: Asker, schedule_id: str) -> asyncpg.Record:
    """Nothing is opened, and of its runs nothing more leaves. What was opened ahead of its time is taken back: it comes while the
    schedule is paused, as if nobody had looked at it."""
    row = await _locked(unit, asker, schedule_id, (ScheduleState.ACTIVE,), "pause")
    opened, next_at = await _without_early_runs(unit, row, asker.now)
    await store.turn(unit.connection, schedule_id, ScheduleState.PAUSED, next_at, None, opened, asker.now)
    if runs := await store.open_runs(unit.connection, [schedule_id]):
        await pause_runs(unit, [run["run_id"] for run in runs], PAUSED_BY_TENANT, None)
    return await _read(unit, asker, schedule_id)


async def resume(unit: Unit, asker: Asker, schedule_id: str) -> asyncpg.Record:
    """Its runs go on. Of a recurrence what came while it was paused is left out; what was to come once comes now, if it is not
    older than the window for catching up."""
    row = await _locked(unit, asker, schedule_id, (ScheduleState.PAUSED,), "resume")
    timing, next_at = Timing.model_validate_json(row["timing"]), row["next_at"]
    if timing.is_recurring and next_at is not None and next_at <= asker.now:
        left = await asyncio.to_thread(next_occurrences, timing, asker.now, 1, row["opened"])
        next_at = left[0].due_at if left else None
    await store.turn(unit.connection, schedule_id, ScheduleState.ACTIVE, next_at, asker.now, row["opened"], asker.now)
    if runs := await store.open_runs(unit.connection, [schedule_id]):
        await resume_runs(unit, [run["run_id"] for run in runs])
    return await _read(unit, asker, schedule_id)


async def trigger(unit: Unit, asker: Asker, schedule_id: str) -> tuple[asyncpg.Record, str]:
    """A run now, beside those by time, and its id: it does not count, no run that is on is in its way, and a pause is for what
    comes by time."""
    row = await _locked(unit, asker, schedule_id, _OPEN, "trigger")
    tenant = await store.tenant(unit.connection, asker.tenant_id)
    spec = run_spec(orjson.loads(row["spec"]), Occurrence(asker.now), tenant)
    run_id = await open_run(unit, asker.tenant_id, RunKind.OCCURRENCE, schedule_id, spec, now=asker.now)
    await store.add_runs(unit.connection, [(run_id, schedule_id, asker.now)], asker.now, by_hand=True)
    return await _read(unit, asker, schedule_id), run_id


async def cancel(unit: Unit, asker: Asker, schedule_id: str) -> asyncpg.Record:
    """Nothing more comes, and of its runs what has not left does not leave."""
    row = await _locked(unit, asker, schedule_id, _OPEN, "cancel")
    await store.turn(unit.connection, schedule_id, ScheduleState.CANCELED, None, None, row["opened"], asker.now)
    if runs := await store.open_runs(unit.connection, [schedule_id]):
        await cancel_runs(unit, [run["run_id"] for run in runs])
    return await _read(unit, asker, schedule_id)


async def cancel_selected(unit: Unit, asker: Asker, selection: Selection) -> int:
    """Cancel all that fit, with their runs; how many there were. Raises `Rejected` where nothing is selected by."""
    if selection.is_empty:
        raise Rejected("selection.empty", "Say which schedules: by ids, state, reference, group_id, due_after or due_before.")
    canceled = 0
    while batch := await store.cancel(unit.connection, asker.tenant_id, selection, CANCEL_BATCH, asker.now):
        canceled += len(batch)
        if runs := await store.open_runs(unit.connection, batch):
            await cancel_runs(unit, [run["run_id"] for run in runs])
        if len(batch) < CANCEL_BATCH:
            break
    return canceled


def preview(body: PreviewBody, asker: Asker, zone: str) -> list[Occurrence]:
    """When it would be. `zone` is the tenant's. Raises `Rejected`."""
    timing = timing_of(body, Moments(asker.now, asker.now, zone))
    return _upcoming(timing, asker.now, body.limit)


def next_of(row: asyncpg.Record, limit: int) -> list[Occurrence]:
    """Those of a schedule that nobody has looked at yet."""
    if row["next_at"] is None:
        return []
    timing: Timing = Timing.model_validate_json(row["timing"])
    if not timing.is_recurring:
        return [occurrence_at(timing, row["next_at"])]
    just_before = row["next_at"] - timedelta(microseconds=1)
    return next_occurrences(timing, just_before, limit, row["opened"] + len(row["waiting"]))


def unknown() -> Rejected:
    return Rejected("schedule.unknown", "There is no such schedule.", 404)


@dataclass(frozen=True, slots=True)
class _When:
    timing: Timing
    next_at: datetime | None


def _when(body: TimingBody, moments: Moments, opened: int) -> _When:
    """Raises `Rejected`."""
    timing = timing_of(body, moments)
    left = _upcoming(timing, moments.now, 1, opened)
    return _When(timing, left[0].due_at if left else None)


def _upcoming(timing: Timing, now: datetime, limit: int, opened: int = 0) -> list[Occurrence]:
    """The next ones; what is to come once and is past comes now."""
    if timing.is_recurring:
        return next_occurrences(timing, now, limit, opened)
    occurrence = once(timing)
    return [occurrence._replace(due_at=max(now, occurrence.due_at))]


async def _definition(connection: Connection, asker: Asker, body: ScheduleBody, when: _When, looked_at: datetime) -> Definition:
    number_id = await _number(connection, asker.tenant_id, body.from_)
    faults = [number_id] if isinstance(number_id, FieldError) else []
    spec: dict[str, Any] = {}
    try:
        spec = spec_of(body, when.timing, number_id if isinstance(number_id, str) else "")
    except Rejected as error:
        faults = [*error.errors, *faults]
    refuse(faults)
    return Definition(
        given=body.model_dump_json(by_alias=True, exclude_unset=True, exclude_none=True),
        timing=when.timing,
        spec=spec,
        overlap=body.overlap,
        catchup_seconds=body.catchup_window_seconds,
        next_at=when.next_at,
        plan_at=looked_at,
        reference=body.reference,
        group_ids=[] if body.group_id is None else [body.group_id],
    )


async def _without_early_runs(unit: Unit, row: asyncpg.Record, now: datetime) -> tuple[int, datetime | None]:
    """Take back the runs that were opened ahead of their time; how many are opened without them, and when the next one is."""
    runs = await store.open_runs(unit.connection, [row["id"]])
    early = [run for run in runs if run["due_at"] > now and not run["by_hand"]]
    if not early:
        return row["opened"], row["next_at"]
    run_ids = [run["run_id"] for run in early]
    await cancel_runs(unit, run_ids)
    await store.forget_runs(unit.connection, run_ids)
    return row["opened"] - len(early), min(run["due_at"] for run in early)


async def _number(connection: Connection, tenant_id: TenantId, wanted: str | None) -> str | FieldError:
    """The number it goes out from: the one named, else the only one."""
    found = await store.numbers(connection, tenant_id, wanted)
    if len(found) == 1:
        return found[0]
    if wanted is not None:
        return FieldError("/from", "number.unknown", "is not a number of yours")
    if not found:
        return FieldError("/from", "number.none", "needs a number, and there is none yet: connect one with POST /api/numbers")
    return FieldError("/from", "number.ambiguous", "must name one of your numbers: there are several")


async def _locked(unit: Unit, asker: Asker, schedule_id: str, states: tuple[ScheduleState, ...], action: str) -> asyncpg.Record:
    """The schedule, which stays as it is until the transaction ends. Raises `Rejected` where its state does not fit the action."""
    row = await store.lock(unit.connection, asker.tenant_id, schedule_id)
    if row is None:
        raise unknown()
    if row["state"] not in states:
        raise wrong_state("schedule", row["state"], states, action)
    return row


async def _read(unit: Unit, asker: Asker, schedule_id: str) -> asyncpg.Record:
    row = await store.find(unit.connection, asker.tenant_id, schedule_id)
    assert row is not None
    return row
