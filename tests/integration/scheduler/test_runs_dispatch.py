"""The dispatch: how much of which run is asked for, and when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.scheduler import conclude, dispatch
from services.scheduler.domain.run import Pacing
from shared.bus.outbox import Outbox, Unit
from shared.db.pool import Pool
from shared.events.catalogue import MessageRequested
from shared.ids import NumberId
from shared.telemetry.metrics import Metrics
from tests.integration.scheduler.runs_scene import (
    asked_for,
    counted,
    heard,
    held,
    opened_with,
    pause,
    recipient,
    resume,
    settle_down,
    state_of,
)
from tests.integration.scheduler.telling import OTHER_TENANT, connect
from tests.support.platform import until
from tests.support.told import told


class Slow(Outbox):
    """Of a replica whose transactions are committed when they `may_commit`, and not sooner."""

    def __init__(self, pool: Pool, outbox: Outbox) -> None:
        super().__init__(pool, outbox._bus, Metrics("scheduler"))
        self.has_worked = asyncio.Event()
        self.may_commit = asyncio.Event()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Unit]:
        async with super().transaction() as unit:
            yield unit
            self.has_worked.set()
            await self.may_commit.wait()


async def test_no_more_is_under_way_than_its_number_can_take_in_a_few_seconds(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=120)
    run_id = await opened_with(outbox, [recipient(n) for n in range(1_000)])
    requests = await asked_for(outbox, pool)
    assert len(requests) == 600
    async with outbox.transaction() as unit:
        await conclude.conclude(unit, [conclude.End(run_id, request.message_id, "sent") for request in requests[:100]])
    assert len(await asked_for(outbox, pool)) == 100
    await pool.execute("UPDATE recipients SET due_at = due_at - interval '2 hours' WHERE state = 'requested'")
    await pool.execute("UPDATE runs SET tend_at = now()")
    assert len(await asked_for(outbox, pool)) == 300, "what waits for something else stands in nobody's way"
    assert (await counted(pool, run_id)).requested == 900


async def test_a_run_of_one_waits_for_no_run_of_many(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=1_000)
    crowd = [recipient(n) for n in range(1_500)]
    many = [await opened_with(outbox, crowd) for _ in range(3)]
    await asyncio.gather(*(dispatch.dispatch(outbox) for _ in range(2)))
    await told(pool)
    same = await opened_with(outbox, [recipient(1)])
    other = await opened_with(outbox, [recipient(1)], tenant=OTHER_TENANT, number_id=NumberId("num_2"))
    await dispatch.dispatch(outbox)
    asked = await heard(pool, MessageRequested)
    assert {other, same} <= {event.run_id for event in asked}
    assert {event.run_id for event in asked} - {other, same} <= set(many)
    late = next(event for event in asked if event.run_id == same)
    assert all(event.not_before >= late.not_before for event in asked if event.run_id in many), "nor in its number's queue"


async def test_a_tenant_with_many_runs_leaves_the_first_places_to_others(outbox: Outbox, pool: Pool) -> None:
    for _ in range(100):
        await opened_with(outbox, [recipient(1)])
    other = await opened_with(outbox, [recipient(1)], tenant=OTHER_TENANT)
    await told(pool)
    await dispatch.dispatch(outbox)
    asked = {event.run_id for event in await heard(pool, MessageRequested)}
    assert other in asked
    assert len(asked) < 101
    while len(asked) < 101:
        await dispatch.dispatch(outbox)
        asked |= {event.run_id for event in await heard(pool, MessageRequested)}


async def test_dispatchers_side_by_side_ask_for_each_once(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=1_000)
    runs = [await opened_with(outbox, [recipient(n) for n in range(700)]) for _ in range(4)]
    await told(pool)

    async def work() -> None:
        for _ in range(8):
            await dispatch.dispatch(outbox)
            await dispatch.fold(outbox)

    await asyncio.gather(*(work() for _ in range(5)))
    requests = [*await heard(pool, MessageRequested), *await asked_for(outbox, pool)]
    assert Counter((event.run_id, event.to) for event in requests) == {
        (run, recipient(n).to): 1 for run in runs for n in range(700)
    }
    assert len({event.message_id for event in requests}) == 2_800
    for run in runs:
        assert (await counted(pool, run)).requested == 700


async def test_a_run_keeps_its_own_pace_and_a_pause_gives_no_credit(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(n) for n in range(500)], pacing=Pacing(messages_per_minute=600))

    async def pass_seconds(seconds: float) -> int:
        await pool.execute("UPDATE runs SET tend_at = now(), paced_at = paced_at - make_interval(secs => $1)", seconds)
        await dispatch.dispatch(outbox)
        return len(await heard(pool, MessageRequested))

    assert await pass_seconds(0) == 1
    assert 10 <= await pass_seconds(1) <= 12
    assert 20 <= await pass_seconds(60) <= 21, "what was not used is lost, but for two seconds' worth"
    await pause(outbox, run_id)
    await pool.execute("UPDATE runs SET paced_at = paced_at - interval '1 hour'")
    await resume(outbox, run_id)
    assert await pass_seconds(0) <= 2


async def test_of_a_paced_run_little_piles_up_while_nothing_leaves(outbox: Outbox, pool: Pool) -> None:
    """However long: what leaves at once afterwards is ten seconds' worth. Of those of unknown outcome nothing will."""
    run_id = await opened_with(outbox, [recipient(n) for n in range(300)], pacing=Pacing(messages_per_minute=120))

    async def stand_still() -> list[MessageRequested]:
        for _ in range(20):
            await pool.execute("UPDATE runs SET tend_at = now(), paced_at = paced_at - interval '1 minute'")
            await dispatch.dispatch(outbox)
        return await heard(pool, MessageRequested)

    requests = await stand_still()
    assert len(requests) == 20
    await held(outbox, requests)
    await pool.execute("UPDATE recipients SET due_at = due_at - interval '2 hours' WHERE state = 'requested'")
    assert await stand_still() == []
    await pool.execute(
        "UPDATE holds SET state = 'unsettled' WHERE message_id = ANY ($1::text[])", [one.message_id for one in requests[:3]]
    )
    assert len(await stand_still()) == 3
    assert (await counted(pool, run_id)).requested == 23


async def test_what_ends_while_its_run_is_looked_at_is_looked_at_again(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(1)])
    (request,) = await asked_for(outbox, pool)
    await pool.execute("UPDATE runs SET tend_at = now()")
    slow = Slow(pool, outbox)

    async def has_folded_or_waits() -> bool:
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        return folding.done() or bool(await pool.fetchval(waits))

    async with asyncio.TaskGroup() as group:
        group.create_task(dispatch.dispatch(slow))
        await slow.has_worked.wait()
        async with outbox.transaction() as unit:
            await conclude.conclude(unit, [conclude.End(run_id, request.message_id, "sent")])
        folding = group.create_task(dispatch.fold(outbox))
        await until(has_folded_or_waits, "the change to be folded")
        slow.may_commit.set()
    await settle_down(outbox)
    assert await state_of(pool, run_id) == "ended"
