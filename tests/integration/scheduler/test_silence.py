"""Releases that nobody answers: told again, ever more seldom, and forgotten when no report can come."""

from __future__ import annotations

from datetime import timedelta

from services.scheduler import hold, release
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import MessageDeferred
from tests.integration.scheduler.telling import (
    accepted,
    connect,
    consistent,
    nothing,
    now,
    outcome,
    pass_time,
    released,
    settle,
)
from tests.support.told import told


async def test_a_release_without_an_answer_is_told_again_under_the_same_attempt(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted(), accepted()], nothing)
    silent, answered = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", answered))
    await release.repeat_silent(outbox)
    assert await told(pool) == [], "not before its time"
    await pass_time(pool, 100)
    await release.repeat_silent(outbox)
    (again,) = await told(pool)
    assert again.model_dump(exclude={"event_id"}) == silent.model_dump(exclude={"event_id"}), "also its time stays the same"
    assert again.event_id != silent.event_id
    await release.repeat_silent(outbox)
    assert await told(pool) == []
    assert await consistent(pool) == 1
    await settle(outbox, outcome("sent", silent))
    assert await consistent(pool) == 0


async def test_a_release_is_told_ever_more_seldom_while_no_answer_comes(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    await released(outbox, pool)
    waits = []
    for _ in range(10):
        waits.append(round(await pool.fetchval("SELECT extract(epoch FROM repeat_at - now()) FROM holds")))
        await pass_time(pool, waits[-1] + 1)
        await release.repeat_silent(outbox)
        assert len(await told(pool)) == 1
    assert waits == [90, 180, 360, 720, 1440, 2880, 3600, 3600, 3600, 3600]
    (event,) = await pool.fetch("SELECT message_id, tenant_id, attempt FROM holds")
    await settle(outbox, MessageDeferred(**event, retry_at=now() - timedelta(seconds=1), code="c"))
    await released(outbox, pool)
    assert await pool.fetchval("SELECT repeat_at - now() FROM holds") < timedelta(seconds=91), "the next attempt starts anew"


async def test_what_never_settles_is_forgotten_when_no_report_can_come_any_more(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted(), accepted()], nothing)
    old, new = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", old), outcome("unsettled", new))
    await pass_time(pool, 9 * 86_400, old.message_id)
    await release.forget_unsettled(outbox)
    assert [row["message_id"] for row in await pool.fetch("SELECT message_id FROM holds")] == [new.message_id]
    assert await consistent(pool) == 0
