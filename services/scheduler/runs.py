"""Runs as the rest of the scheduler sees them: open, pause, resume or cancel one, say how its messages have ended, read its counts.

Pausing withdraws: of the messages that were asked for and have not been released, the holds go, the messages are told as canceled,
and their recipients are pending again, to be asked for under new ids when the run goes on. So a pause is nothing but the want of a
message, whatever else its hold waited for (a template, quiet hours, a limit), and no message id is ever taken back into use.
A message that is on its way through the gateway meanwhile is withdrawn when it arrives, one that the sender has when it is put back
(`withdraw_unwanted`); one that slips between is found by the dispatch, which looks at paused and canceled runs until nothing of
theirs is under way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import asyncpg

from services.scheduler.conclude import End, conclude
from services.scheduler.domain.run import RUN_CANCELED, RecipientState, RunAsking, RunCounts, RunKind, RunSpec, RunState
from services.scheduler.store import recipients as ledger
from services.scheduler.store import runs as store
from shared.bus.outbox import Unit
from shared.db.pool import Connection, Pool
from shared.events.catalogue import AudienceWanted, MessageCanceled
from shared.ids import MessageId, TenantId, new_id

__all__ = [
    "End",
    "cancel_runs",
    "conclude",
    "counts",
    "open_run",
    "pause_runs",
    "recipients",
    "resume_runs",
    "wanted",
    "withdraw_unwanted",
]

PAGE_LIMIT: Final = 500
"""Recipients in a page: one event, with everybody's content in it."""
PATIENCE_SECONDS: Final = 30.0
"""Until a page is asked for again."""
WITHDRAW_LIMIT: Final = 5_000
CANCEL_LIMIT: Final = 20_000
"""Each bounds a statement; the dispatch does the rest, a round at a time."""


async def open_run(unit: Unit, tenant_id: TenantId, kind: RunKind, owner_id: str, spec: RunSpec, *, now: datetime) -> str:
    """A new run of the schedule or campaign `owner_id`; returns its id. It may be opened before it is due, to be ready then."""
    run_id = new_id("run")
    if spec.due_at is None and spec.local_time is None:
        spec = spec.model_copy(update={"due_at": now})
    await store.insert(unit.connection, run_id, tenant_id, kind, owner_id, spec, now, PATIENCE_SECONDS)
    unit.emit(wanted(tenant_id, run_id, spec))
    return run_id


def wanted(tenant_id: TenantId, run_id: str, asking: RunAsking, page: int = 0, cursor: str | None = None) -> AudienceWanted:
    """The question for a page of a run's audience."""
    return AudienceWanted(
        tenant_id=tenant_id,
        run_id=run_id,
        page=page,
        cursor=cursor,
        limit=PAGE_LIMIT,
        audience=asking.audience,
        variants=asking.variants,
        default_zone=asking.default_zone,
    )


async def pause_runs(unit: Unit, run_ids: Sequence[str], code: str, detail: str | None) -> list[str]:
    """Nothing more leaves of those that are on; returns which these are. `code` and `detail` say why."""
    paused = await store.pause(unit.connection, run_ids, code, detail)
    await withdraw(unit, paused, ())
    return paused


async def resume_runs(unit: Unit, run_ids: Sequence[str]) -> list[str]:
    """Those that are paused go on; returns which these are."""
    return await store.resume(unit.connection, run_ids)


async def cancel_runs(unit: Unit, run_ids: Sequence[str]) -> list[str]:
    """Nothing more leaves of those that have not ended, for good; returns which these are. Of many recipients the dispatch ends the
    last in its next rounds."""
    canceled = await store.cancel(unit.connection, run_ids)
    await withdraw(unit, (), canceled)
    if canceled:
        await ledger.cancel_pending(unit.connection, canceled, RUN_CANCELED, limit=CANCEL_LIMIT)
    return canceled


async def withdraw(unit: Unit, paused: Sequence[str], stopped: Sequence[str]) -> None:
    """Take out what waits of these runs: recipients of paused ones are pending again, those of stopped ones have ended."""
    if not paused and not stopped:
        return
    rows = await store.withdraw_holds(unit.connection, [*paused, *stopped], limit=WITHDRAW_LIMIT)
    await _take_back(unit, rows, set(paused))


async def withdraw_unwanted(unit: Unit, messages: Mapping[MessageId, str | None]) -> None:
    """Of messages that have just been held or put back, take out those that their run (None: they have none) does not want any
    more: it was paused or canceled while they were on their way. In the transaction that holds them, so none is released."""
    of_runs = [(message_id, run_id) for message_id, run_id in messages.items() if run_id is not None]
    if of_runs:
        rows = await store.unwanted_holds(unit.connection, of_runs)
        await _take_back(unit, rows, {row["run_id"] for row in rows if row["run_state"] == RunState.PAUSED})


async def counts(connection: Connection | Pool, run_ids: Sequence[str]) -> Mapping[str, RunCounts]:
    """How many of each run's recipients are in which state; as of one moment."""
    return await store.counts(connection, run_ids)


async def recipients(
    connection: Connection | Pool, run_id: str, *, state: RecipientState | None = None, after: int = -1, limit: int
) -> list[asyncpg.Record]:
    """A page of the ledger by position; the next begins after the last one's. See `store.recipients.page` for the columns."""
    return await ledger.page(connection, run_id, state=state, after=after, limit=limit)


async def _take_back(unit: Unit, rows: Sequence[asyncpg.Record], paused: set[str]) -> None:
    if not rows:
        return
    unit.emit(
        *(
            MessageCanceled(
                tenant_id=TenantId(row["tenant_id"]), traceparent=row["traceparent"], message_id=MessageId(row["message_id"])
            )
            for row in rows
        )
    )
    back = [(row["run_id"], row["message_id"]) for row in rows if row["run_id"] in paused]
    if back:
        await ledger.give_back(unit.connection, back)
    over = [row for row in rows if row["run_id"] not in paused]
    await conclude(unit, [End(row["run_id"], row["message_id"], RecipientState.CANCELED, RUN_CANCELED) for row in over])
