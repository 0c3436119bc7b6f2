"""What is kept of a run that is over, and for how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from services.scheduler.domain.run import RunKind
from services.scheduler.runs import counts
from services.scheduler.store import runs
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from tests.integration.scheduler.runs_scene import cancel, counted, opened_with, recipient, settle_down
from tests.integration.scheduler.telling import now

DAYS = 90


async def prune(pool: Pool, limit_recipients: int = 1_000) -> bool:
    return await runs.prune(pool, days=DAYS, limit=10, limit_recipients=limit_recipients)


async def grow_old(pool: Pool, run_id: str, days: int = DAYS + 1) -> None:
    await pool.execute("UPDATE runs SET since = now() - make_interval(days => $2) WHERE id = $1", run_id, days)


async def left(pool: Pool, run_id: str) -> int:
    count: int = await pool.fetchval("SELECT count(*) FROM recipients WHERE run_id = $1", run_id)
    return count


@pytest.mark.parametrize("kind", [RunKind.CAMPAIGN, RunKind.OCCURRENCE])
async def test_what_a_run_was_to_whom_is_forgotten_in_its_time(kind: RunKind, outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(n) for n in range(5)], kind=kind)
    await cancel(outbox, run_id)
    await settle_down(outbox)
    before = await counted(pool, run_id)
    await grow_old(pool, run_id, DAYS - 1)
    assert not await prune(pool)
    await grow_old(pool, run_id)
    assert await prune(pool, limit_recipients=3)
    assert await left(pool, run_id) == 2, "so many at most"
    while await prune(pool, limit_recipients=3):
        pass
    assert await left(pool, run_id) == 0
    asking = await pool.fetchval("SELECT asking FROM runs WHERE id = $1", run_id)
    found = (await counts(pool, [run_id]))[run_id]
    if kind is RunKind.CAMPAIGN:
        assert (asking, found) == ("{}", before), "a campaign keeps its figures"
    else:
        assert (asking, found.total) == (None, 0)


async def test_a_run_that_is_on_is_kept_however_old_it_is(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(1)], due_at=now() + timedelta(days=300))
    await grow_old(pool, run_id)
    assert not await prune(pool)
    assert await left(pool, run_id) == 1
