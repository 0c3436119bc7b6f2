"""Schedules, the runs they have opened, and their tenants' zones and hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import orjson

from services.scheduler.domain.schedule import Overlap, ScheduleState, Timing
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.events.catalogue import TenantChanged
from shared.events.values import Hours
from shared.ids import NumberId, TenantId

sql = Queries(Path(__file__).with_name("schedules.sql"))
INSERT_SCHEDULE: Final = sql["insert_schedule"]
LOCK_SCHEDULE: Final = sql["lock_schedule"]
SELECT_SCHEDULE: Final = sql["select_schedule"]
REDEFINE_SCHEDULE: Final = sql["redefine_schedule"]
TURN_SCHEDULE: Final = sql["turn_schedule"]
SELECT_SCHEDULES: Final = sql["select_schedules"]
PAGE_OF_SCHEDULES: Final = sql["page_of_schedules"]
COUNT_SCHEDULES: Final = sql["count_schedules"]
SELECT_SCHEDULES_OF_REFERENCE: Final = sql["select_schedules_of_reference"]
PAGE_OF_SELECTED: Final = sql["page_of_selected_schedules"]
COUNT_SELECTED: Final = sql["count_selected_schedules"]
NUMBERS_OF_TENANT: Final = sql["numbers_of_tenant"]
SELECT_TENANT: Final = sql["select_tenant"]
UPSERT_TENANTS: Final = sql["upsert_tenants"]
CLAIM_SCHEDULES: Final = sql["claim_schedules"]
ADVANCE_SCHEDULES: Final = sql["advance_schedules"]
POSTPONE_SCHEDULES: Final = sql["postpone_schedules"]
INSERT_SCHEDULE_RUNS: Final = sql["insert_schedule_runs"]
OPEN_RUNS: Final = sql["open_runs"]
FORGET_SCHEDULE_RUNS: Final = sql["forget_schedule_runs"]
LAST_RUNS: Final = sql["last_runs"]
REJECTIONS: Final = sql["rejections_of_runs"]
REJECTED_AMONG: Final = 10_000
"""Recipients of a run that are looked at for the reasons."""
REJECTIONS_LIMIT: Final = 20
"""Reasons that are shown of a run."""
CANCEL_SCHEDULES: Final = sql["cancel_schedules"]
PRUNE_SCHEDULE_RUNS: Final = sql["prune_schedule_runs"]

UTC_ZONE: Final = "UTC"
"""Of a tenant that has told none."""


@dataclass(frozen=True, slots=True)
class Tenant:
    zone: str
    hours: Hours | None


@dataclass(frozen=True, slots=True)
class Definition:
    """A schedule's definition, what it means, and when it is next."""

    given: str
    """JSON, as its tenant gave it."""
    timing: Timing
    spec: Mapping[str, Any]
    overlap: Overlap
    catchup_seconds: int
    next_at: datetime | None
    plan_at: datetime | None
    reference: str | None
    group_ids: Sequence[str]

    def row(self) -> tuple[Any, ...]:
        return (
            self.given,
            self.timing.model_dump_json(exclude_none=True),
            orjson.dumps(self.spec).decode(),
            self.overlap.value,
            self.catchup_seconds,
            self.next_at,
            self.plan_at,
            self.reference,
            list(self.group_ids),
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which schedules of a tenant; None: any."""

    state: str | None = None
    reference: str | None = None
    group_id: str | None = None
    ids: Sequence[str] | None = None
    due_after: datetime | None = None
    due_before: datetime | None = None

    @property
    def is_empty(self) -> bool:
        return all(
            part is None for part in (self.state, self.reference, self.group_id, self.ids, self.due_after, self.due_before)
        )


@dataclass(frozen=True, slots=True)
class Step:
    """What has become of a schedule that the planner looked at."""

    id: str
    state: ScheduleState
    next_at: datetime | None
    plan_at: datetime | None
    waiting: Sequence[datetime]
    opened: int
    missed_at: datetime | None


async def insert(connection: Connection, schedule_id: str, tenant_id: TenantId, definition: Definition, now: datetime) -> None:
    await connection.execute(INSERT_SCHEDULE, schedule_id, tenant_id, *definition.row(), now)


async def redefine(
    connection: Connection, schedule_id: str, definition: Definition, opened: int, now: datetime, *, is_retimed: bool
) -> None:
    await connection.execute(REDEFINE_SCHEDULE, schedule_id, *definition.row(), opened, now, is_retimed)


async def turn(
    connection: Connection,
    schedule_id: str,
    state: ScheduleState,
    next_at: datetime | None,
    plan_at: datetime | None,
    opened: int,
    now: datetime,
) -> None:
    """Bring it to the state."""
    await connection.execute(TURN_SCHEDULE, schedule_id, state.value, next_at, plan_at, opened, now)


async def lock(connection: Connection, tenant_id: TenantId, schedule_id: str) -> asyncpg.Record | None:
    """The schedule's row, which stays as it is until the transaction ends."""
    return await connection.fetchrow(LOCK_SCHEDULE, tenant_id, schedule_id)


async def find(connection: Connection | Pool, tenant_id: TenantId, schedule_id: str) -> asyncpg.Record | None:
    return await connection.fetchrow(SELECT_SCHEDULE, tenant_id, schedule_id)


async def listed(pool: Pool, tenant_id: TenantId, selection: Selection, *, before: str, limit: int) -> list[asyncpg.Record]:
    """The latest first; by state, reference and group."""
    query = SELECT_SCHEDULES if selection.reference is None else SELECT_SCHEDULES_OF_REFERENCE
    return await pool.fetch(query, tenant_id, before, limit, selection.state, selection.reference, selection.group_id)


async def page(
    pool: Pool, tenant_id: TenantId, selection: Selection, *, skip: int, limit: int
) -> tuple[list[asyncpg.Record], int]:
    """The latest first, and how many there are; by state, reference and group."""
    if selection.is_empty:
        rows = await pool.fetch(PAGE_OF_SCHEDULES, tenant_id, skip, limit)
        return rows, await pool.fetchval(COUNT_SCHEDULES, tenant_id)
    parts = selection.state, selection.reference, selection.group_id
    rows = await pool.fetch(PAGE_OF_SELECTED, tenant_id, skip, limit, *parts)
    return rows, await pool.fetchval(COUNT_SELECTED, tenant_id, *parts)


async def numbers(connection: Connection, tenant_id: TenantId, wanted: str | None) -> list[NumberId]:
    """The wanted number if it is the tenant's; without a wish two of the tenant's at most."""
    return [NumberId(row["number_id"]) for row in await connection.fetch(NUMBERS_OF_TENANT, tenant_id, wanted)]


async def tenant(connection: Connection | Pool, tenant_id: TenantId) -> Tenant:
    """Its zone and hours."""
    row = await connection.fetchrow(SELECT_TENANT, tenant_id)
    return Tenant(UTC_ZONE, None) if row is None else tenant_in(row)


def tenant_in(row: asyncpg.Record) -> Tenant:
    """The tenant of a row with `time_zone` and `hours`."""
    hours = row["hours"]
    return Tenant(row["time_zone"] or UTC_ZONE, None if hours is None else Hours.model_validate_json(hours))


async def know_tenants(connection: Connection, events: Sequence[TenantChanged]) -> None:
    """Keep the latest revision of each."""
    latest = {event.tenant_id: event for event in sorted(events, key=lambda event: event.revision)}
    told = [latest[tenant_id] for tenant_id in sorted(latest)]
    await connection.execute(
        UPSERT_TENANTS,
        [event.tenant_id for event in told],
        [event.revision for event in told],
        [event.time_zone for event in told],
        [None if event.hours is None else event.hours.model_dump_json() for event in told],
    )


async def claim(connection: Connection, now: datetime, limit: int) -> list[asyncpg.Record]:
    """Schedules to look at, locked."""
    return await connection.fetch(CLAIM_SCHEDULES, now, limit)


async def advance(connection: Connection, steps: Sequence[Step]) -> None:
    """Write down where they are now."""
    await connection.execute(
        ADVANCE_SCHEDULES,
        [step.id for step in steps],
        [step.state.value for step in steps],
        [step.next_at for step in steps],
        [step.plan_at for step in steps],
        ["{" + ",".join(f'"{moment.isoformat()}"' for moment in step.waiting) + "}" for step in steps],
        [step.opened for step in steps],
        [step.missed_at for step in steps],
    )


async def postpone(connection: Connection, schedule_ids: Sequence[str], until: datetime) -> None:
    await connection.execute(POSTPONE_SCHEDULES, list(schedule_ids), until)


async def add_runs(
    connection: Connection, runs: Sequence[tuple[str, str, datetime]], now: datetime, *, by_hand: bool = False
) -> None:
    """Runs that were opened: (run, schedule, occurrence)."""
    columns = [list(column) for column in zip(*runs, strict=True)]
    await connection.execute(INSERT_SCHEDULE_RUNS, *columns, now, by_hand)


async def open_runs(connection: Connection, schedule_ids: Sequence[str]) -> list[asyncpg.Record]:
    """Those that are on: run_id, schedule_id, due_at, by_hand."""
    return await connection.fetch(OPEN_RUNS, list(schedule_ids))


async def forget_runs(connection: Connection, run_ids: Sequence[str]) -> None:
    await connection.execute(FORGET_SCHEDULE_RUNS, list(run_ids))


async def last_runs(pool: Pool, schedule_id: str, limit: int) -> list[asyncpg.Record]:
    """The latest: run_id, due_at, opened_at, by_hand, state, code, detail."""
    return await pool.fetch(LAST_RUNS, schedule_id, limit)


async def rejections(pool: Pool, run_ids: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
    """By run: code (if there is one) and recipients of the most frequent reasons, among the first `REJECTED_AMONG`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in await pool.fetch(REJECTIONS, list(run_ids), REJECTED_AMONG, REJECTIONS_LIMIT) if run_ids else ():
        code = {} if row["code"] is None else {"code": row["code"]}
        found.setdefault(row["run_id"], []).append({**code, "recipients": row["recipients"]})
    return found


async def cancel(connection: Connection, tenant_id: TenantId, selection: Selection, limit: int, now: datetime) -> list[str]:
    """Cancel those that fit, so many at most; their ids."""
    rows = await connection.fetch(
        CANCEL_SCHEDULES,
        tenant_id,
        now,
        None if selection.ids is None else list(selection.ids),
        selection.state,
        selection.reference,
        selection.group_id,
        selection.due_after,
        selection.due_before,
        limit,
    )
    return [row["id"] for row in rows]


async def prune_runs(pool: Pool, *, days: int, limit: int) -> bool:
    """Forget old ones that are not on; True where there may be more of them."""
    return await pool.execute(PRUNE_SCHEDULE_RUNS, days, limit) == f"DELETE {limit}"
