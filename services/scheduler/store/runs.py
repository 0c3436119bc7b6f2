"""Runs: their rows, what the dispatch knows of them, and their counts."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import asyncpg

from services.scheduler.domain.pacing import Allowance
from services.scheduler.domain.run import COUNTED, RunAsking, RunCounts, RunKind, RunSpec, RunState, RunTerms
from shared.db.pool import Connection, Pool
from shared.db.queries import Queries
from shared.ids import TenantId

sql = Queries(Path(__file__).with_name("runs.sql"))
INSERT_RUN: Final = sql["insert_run"]
LOCK_EXPANDING: Final = sql["lock_expanding"]
ADVANCE_RUN: Final = sql["advance_run"]
FAIL_RUN: Final = sql["fail_run"]
ASK_AGAIN: Final = sql["ask_again"]
PAUSE_RUNS: Final = sql["pause_runs"]
RESUME_RUNS: Final = sql["resume_runs"]
CANCEL_RUNS: Final = sql["cancel_runs"]
WITHDRAW_HOLDS: Final = sql["withdraw_holds"]
UNWANTED_HOLDS: Final = sql["unwanted_holds"]
READY_RUNS: Final = sql["ready_runs"]
WEIGH_RUNS: Final = sql["weigh_runs"]
TEND_RUNS: Final = sql["tend_runs"]
FOLD_CHANGES: Final = sql["fold_changes"]
WAKE_RUNS: Final = sql["wake_runs"]
COUNT_RUNS: Final = sql["count_runs"]
OLD_PREFLIGHTS: Final = sql["old_preflights"]
RUNS_OVER: Final = sql["runs_over"]
FORGET_RUNS: Final = sql["forget_runs"]
DELETE_RECIPIENTS: Final = sql["delete_recipients"]
DELETE_RUNS: Final = sql["delete_runs"]

_TERMS: Final = frozenset(RunTerms.model_fields)
_ASKING: Final = frozenset(RunAsking.model_fields)


@dataclass(frozen=True, slots=True)
class Weight:
    """What there is of a run, as of its lock. `tardy` of those requested should have left an hour ago."""

    pending: int
    requested: int
    tardy: int
    tried: int
    failed: int
    messages_per_second: int | None


@dataclass(frozen=True, slots=True)
class Tended:
    """How the dispatch leaves a run. `lead`: it looks at it again so long before the next pending one is due; None: it does not."""

    run_id: str
    state: RunState
    code: str | None
    detail: str | None
    allowance: Allowance
    paced_at: datetime | None
    tend_at: datetime | None
    """None: at no time."""
    lead: timedelta | None


async def insert(
    connection: Connection,
    run_id: str,
    tenant_id: TenantId,
    kind: RunKind,
    owner_id: str,
    spec: RunSpec,
    now: datetime,
    patience_seconds: float,
) -> None:
    """A new run that waits for its first page."""
    asking, terms = spec.model_dump_json(include=set(_ASKING)), spec.model_dump_json(include=set(_TERMS), exclude_none=True)
    await connection.execute(
        INSERT_RUN, run_id, tenant_id, kind, owner_id, spec.number_id, now, asking, terms, patience_seconds
    )


async def lock_expanding(connection: Connection, run_id: str) -> asyncpg.Record | None:
    """The run, if its audience is being found: id, tenant_id, kind, state, page, terms (JSON)."""
    return await connection.fetchrow(LOCK_EXPANDING, run_id)


async def advance(connection: Connection, run_id: str, cursor: str | None, patience_seconds: float) -> asyncpg.Record:
    """On to the page at `cursor`, or, where it is None, to work; returns page and asking (JSON)."""
    row = await connection.fetchrow(ADVANCE_RUN, run_id, cursor, patience_seconds)
    assert row is not None
    return row


async def fail(connection: Connection, run_id: str, code: str, detail: str | None) -> None:
    await connection.execute(FAIL_RUN, run_id, code, detail)


async def ask_again(
    connection: Connection, *, patience_seconds: float, longest_seconds: float, limit: int
) -> list[asyncpg.Record]:
    """Those whose page did not come in time: rows of id, tenant_id, page, cursor, asking (JSON)."""
    return await connection.fetch(ASK_AGAIN, patience_seconds, longest_seconds, limit)


async def pause(connection: Connection, run_ids: Sequence[str], code: str, detail: str | None) -> list[str]:
    return _ids(await connection.fetch(PAUSE_RUNS, list(run_ids), code, detail))


async def resume(connection: Connection, run_ids: Sequence[str]) -> list[str]:
    return _ids(await connection.fetch(RESUME_RUNS, list(run_ids)))


async def cancel(connection: Connection, run_ids: Sequence[str]) -> list[str]:
    return _ids(await connection.fetch(CANCEL_RUNS, list(run_ids)))


async def withdraw_holds(connection: Connection, run_ids: Sequence[str], *, limit: int) -> list[asyncpg.Record]:
    """Take out what waits of them; rows of message_id, tenant_id, traceparent, run_id."""
    return await connection.fetch(WITHDRAW_HOLDS, list(run_ids), limit)


async def unwanted_holds(connection: Connection, messages: Sequence[tuple[str, str]]) -> list[asyncpg.Record]:
    """Take out those (message, run) that nobody wants any more; rows of message_id, tenant_id, traceparent, run_id, run_state."""
    in_order = sorted(messages)
    return await connection.fetch(UNWANTED_HOLDS, [message for message, _ in in_order], [run for _, run in in_order])


async def ready(connection: Connection, *, limit: int, limit_per_tenant: int) -> list[asyncpg.Record]:
    """Lock the runs that the dispatch has to look at; their rows, and now."""
    return await connection.fetch(READY_RUNS, limit, limit_per_tenant)


async def weigh(connection: Connection, runs: Sequence[asyncpg.Record], paced: Collection[str]) -> Mapping[str, Weight]:
    """By run. `paced`: those with a pace of their own, of which only what has an unknown outcome is tardy."""
    run_ids = [run["id"] for run in runs]
    rows = await connection.fetch(
        WEIGH_RUNS, run_ids, [run["number_id"] for run in runs], [run_id in paced for run_id in run_ids]
    )
    return {
        row["run_id"]: Weight(
            row["pending"], row["requested"], row["tardy"], row["tried"], row["failed"], row["messages_per_second"]
        )
        for row in rows
    }


async def tend(connection: Connection, runs: Sequence[Tended]) -> None:
    """Write locked runs as the dispatch leaves them."""
    await connection.execute(
        TEND_RUNS,
        [run.run_id for run in runs],
        [run.state.value for run in runs],
        [run.code for run in runs],
        [run.detail for run in runs],
        [run.allowance.tokens for run in runs],
        [run.paced_at for run in runs],
        [run.allowance.seconds for run in runs],
        [run.tend_at for run in runs],
        [run.lead for run in runs],
    )


async def fold(connection: Connection, *, limit: int) -> int:
    """Add changes to the counts and wake their runs; returns how many lines there were."""
    rows = await connection.fetch(FOLD_CHANGES, limit)
    if rows:
        await connection.execute(WAKE_RUNS, [row["run_id"] for row in rows])
    return sum(row["lines"] for row in rows)


async def counts(connection: Connection | Pool, run_ids: Sequence[str]) -> Mapping[str, RunCounts]:
    """Of each, whether it has any or not."""
    found: dict[str, dict[str, int]] = {run_id: {} for run_id in run_ids}
    for row in await connection.fetch(COUNT_RUNS, list(run_ids)):
        found[row["run_id"]][row["what"]] = row["amount"]
    return {
        run_id: RunCounts(**{what: amount for what, amount in of.items() if what in COUNTED}) for run_id, of in found.items()
    }


async def prune_preflights(pool: Pool, *, days: int, limit: int, limit_recipients: int) -> bool:
    """Forget preflights of that age with their recipients, so many at most; True where there may be more to forget."""
    async with pool.acquire() as connection, connection.transaction():
        run_ids = _ids(await connection.fetch(OLD_PREFLIGHTS, days, limit))
        if run_ids and await _empty(connection, run_ids, limit_recipients):
            await connection.execute(DELETE_RUNS, run_ids)
    return bool(run_ids)


async def prune(pool: Pool, *, days: int, limit: int, limit_recipients: int) -> bool:
    """Forget the recipients of runs that ended so long ago, so many at most, and what was said to them. Of a campaign's run the
    counts stay, that of an occurrence goes. True where there may be more to forget."""
    async with pool.acquire() as connection, connection.transaction():
        rows = await connection.fetch(RUNS_OVER, days, limit)
        if rows and await _empty(connection, _ids(rows), limit_recipients):
            await connection.execute(FORGET_RUNS, [row["id"] for row in rows if row["kind"] == RunKind.CAMPAIGN])
            await connection.execute(DELETE_RUNS, [row["id"] for row in rows if row["kind"] == RunKind.OCCURRENCE])
    return bool(rows)


async def _empty(connection: Connection, run_ids: Sequence[str], limit: int) -> bool:
    """Delete so many of their recipients; True where that was all of them."""
    return await connection.execute(DELETE_RECIPIENTS, run_ids, limit) != f"DELETE {limit}"


def _ids(rows: Sequence[asyncpg.Record]) -> list[str]:
    return [row["id"] for row in rows]
