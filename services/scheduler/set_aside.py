"""What was due and has an obstacle: out for good, or back for later. Every one is told with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg

from services.scheduler.conclude import End, conclude
from services.scheduler.domain.obstacle import (
    DETAILS,
    DOUBT,
    HOURS_UNUSABLE,
    OPTED_OUT,
    QUIET_HOURS,
    WINDOW_CLOSED,
    Obstacle,
    Openings,
    UnusableHoursError,
)
from services.scheduler.store import holds
from shared.bus.outbox import Unit
from shared.events.catalogue import MessageHeld, MessageRefused, MessageSuppressed
from shared.ids import MessageId, TenantId


async def set_aside(unit: Unit, stopped: Mapping[Obstacle, Sequence[str]]) -> None:
    """In the transaction of the claim that stopped them. What is canceled at this very moment is left alone."""
    for obstacle, message_ids in stopped.items():
        match obstacle:
            case Obstacle.SUPPRESSED:
                await suppressed(unit, await holds.end_waiting(unit.connection, message_ids))
            case Obstacle.BLOCKED:
                for row in await holds.block(unit.connection, message_ids):
                    unit.emit(MessageHeld(**_head(row), code=row["code"]))
            case Obstacle.QUIET:
                await _until_opening(unit, message_ids)
            case Obstacle.DOUBTED:
                await holds.doubt(unit.connection, message_ids, WINDOW_CLOSED, DOUBT)
            case Obstacle.CLOSED:
                await _refuse(unit, message_ids, WINDOW_CLOSED)


async def suppressed(unit: Unit, rows: Sequence[asyncpg.Record]) -> None:
    """Say of holds that were taken out (message_id, tenant_id, traceparent, run_id) that their recipients want nothing."""
    unit.emit(*(MessageSuppressed(**_head(row), code=OPTED_OUT) for row in rows))
    await conclude(unit, [End(row["run_id"], row["message_id"], "suppressed", OPTED_OUT) for row in rows if row["run_id"]])


async def _until_opening(unit: Unit, message_ids: Sequence[str]) -> None:
    openings, found, unusable = Openings(), {}, []
    for row in await holds.lock_quiet(unit.connection, message_ids):
        try:
            start, end = openings.span(row["hours"], row["now"])
        except UnusableHoursError:
            unusable.append(row["message_id"])
            continue
        found[row["message_id"]] = start, end
        if start > row["now"]:
            unit.emit(MessageHeld(**_head(row), code=QUIET_HOURS, until=start))
    if found:
        await holds.postpone(unit.connection, found)
    if unusable:
        await _refuse(unit, unusable, HOURS_UNUSABLE)


async def _refuse(unit: Unit, message_ids: Sequence[str], code: str) -> None:
    rows = await holds.end_waiting(unit.connection, message_ids)
    unit.emit(*(MessageRefused(**_head(row), code=code, detail=DETAILS[code]) for row in rows))
    await conclude(
        unit, [End(row["run_id"], row["message_id"], "refused", code, DETAILS[code]) for row in rows if row["run_id"]]
    )


def _head(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "tenant_id": TenantId(row["tenant_id"]),
        "traceparent": row["traceparent"],
        "message_id": MessageId(row["message_id"]),
    }
