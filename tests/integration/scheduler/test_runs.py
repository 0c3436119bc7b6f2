"""Runs: paused, resumed, canceled, and ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from services.scheduler import conclude, dispatch
from services.scheduler.domain.run import FailureStop, RecipientState
from services.scheduler.runs import recipients
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import MessageCanceled, MessageRequested, RunReported
from shared.events.values import DeliveryStatus
from shared.ids import MessageId, TenantId
from tests.integration.scheduler.runs_scene import (
    asked_for,
    cancel,
    counted,
    find,
    heard,
    held,
    let_go,
    opened,
    opened_with,
    page,
    pause,
    recipient,
    refuse,
    resume,
    settle_down,
    state_of,
)
from tests.integration.scheduler.telling import TENANT, connect, now, outcome, settle


async def test_a_pause_withdraws_what_waits_and_it_is_asked_for_again_under_new_ids(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    run_id = await opened_with(outbox, [recipient(n) for n in range(4)])
    requests = await asked_for(outbox, pool)
    await held(outbox, requests[:2])
    assert await pause(outbox, run_id) == [run_id]
    assert await pause(outbox, run_id) == []
    assert {event.message_id for event in await heard(pool, MessageCanceled)} == {event.message_id for event in requests[:2]}
    assert (await counted(pool, run_id)).pending == 2
    await held(outbox, requests[2:3])
    assert [event.message_id for event in await heard(pool, MessageCanceled)] == [requests[2].message_id]
    assert await let_go(outbox, pool) == []
    assert await asked_for(outbox, pool) == []
    assert await resume(outbox, run_id) == [run_id]
    await held(outbox, requests[3:])
    again = await asked_for(outbox, pool)
    assert {event.to for event in again} == {event.to for event in requests[:3]}
    assert not {event.message_id for event in again} & {event.message_id for event in requests}
    await held(outbox, [*again, *requests])
    released = await let_go(outbox, pool)
    assert Counter(event.to for event in released) == {recipient(n).to: 1 for n in range(4)}
    await settle(outbox, *(outcome("sent", event) for event in released))
    await settle_down(outbox)
    assert await state_of(pool, run_id) == "ended"
    assert (await counted(pool, run_id)).sent == 4


@pytest.mark.parametrize("stop", [pause, cancel])
async def test_what_comes_back_from_the_sender_does_not_leave_again(
    stop: Callable[..., Awaitable[list[str]]], outbox: Outbox, pool: Pool
) -> None:
    await connect(outbox)
    run_id = await opened_with(outbox, [recipient(1), recipient(2)])
    await held(outbox, await asked_for(outbox, pool))
    back, sent = await let_go(outbox, pool)
    await stop(outbox, run_id)
    await settle(outbox, outcome("deferred", back), outcome("sent", sent))
    assert await let_go(outbox, pool) == []
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
    found = await counted(pool, run_id)
    assert (found.sent, found.requested) == (1, 0)
    assert (found.pending, found.canceled) == ((1, 0) if stop is pause else (0, 1))


async def test_what_slipped_through_a_pause_is_found(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(1)])
    (request,) = await asked_for(outbox, pool)
    await pause(outbox, run_id)
    await pool.execute("UPDATE runs SET state = 'running'")  # as one who looks just before sees it
    await held(outbox, [request])
    await pool.execute("UPDATE runs SET state = 'paused', tend_at = now()")
    await dispatch.dispatch(outbox)
    assert [event.message_id for event in await heard(pool, MessageCanceled)] == [request.message_id]
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0


async def test_an_audience_is_found_while_its_run_is_paused(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened(outbox)
    await pause(outbox, run_id)
    await find(outbox, page(run_id, 0, [recipient(1)], "c0"))
    await resume(outbox, run_id)
    assert await state_of(pool, run_id) == "expanding"
    await pause(outbox, run_id)
    await find(outbox, page(run_id, 1, [recipient(2)]))
    assert await asked_for(outbox, pool) == []
    assert await state_of(pool, run_id) == "paused"
    await resume(outbox, run_id)
    assert len(await asked_for(outbox, pool)) == 2


async def test_a_cancel_ends_all_that_have_not_left(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    run_id = await opened_with(outbox, [recipient(n) for n in range(1_000)])
    requests = await asked_for(outbox, pool)
    await held(outbox, requests[:100])
    released = await let_go(outbox, pool)
    await held(outbox, requests[100:200])
    assert await cancel(outbox, run_id) == [run_id]
    assert await cancel(outbox, run_id) == await pause(outbox, run_id) == await resume(outbox, run_id) == []
    assert await let_go(outbox, pool) == []
    await held(outbox, requests[200:])
    assert await pool.fetchval("SELECT count(*) FROM holds") == len(released)
    await settle(outbox, *(outcome("sent", event) for event in released))
    assert await asked_for(outbox, pool) == []
    found = await counted(pool, run_id)
    assert (found.sent, found.canceled, found.total) == (len(released), 1_000 - len(released), 1_000)
    assert await state_of(pool, run_id) == "canceled"


async def test_many_runs_are_canceled_at_once(outbox: Outbox, pool: Pool) -> None:
    runs = [await opened_with(outbox, [recipient(1)], due_at=now() + timedelta(days=1)) for _ in range(50)]
    assert sorted(await cancel(outbox, *runs, "run_unknown")) == sorted(runs)
    assert await pool.fetchval("SELECT count(*) FROM recipients WHERE state <> 'canceled'") == 0


async def test_a_recipient_ends_once_and_stays_so(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(1), recipient(2)])
    first, second = await asked_for(outbox, pool)
    await conclude.refuse(outbox, [refuse(first), refuse(first)])
    async with outbox.transaction() as unit:
        ends = [conclude.End(run_id, first.message_id, "sent"), conclude.End("run_other", second.message_id, "sent")]
        await conclude.conclude(unit, ends)
        await conclude.conclude(unit, [])
    assert (await counted(pool, run_id)).rejected == 1
    async with outbox.transaction() as unit:
        both = [conclude.End(run_id, second.message_id, "refused", "window.closed", "d"), ends[1]._replace(run_id=run_id)]
        await conclude.conclude(unit, both)
    found = await counted(pool, run_id)
    assert (found.rejected, found.failed, found.requested) == (1, 1, 0)
    (row,) = await recipients(pool, run_id, state=RecipientState.FAILED, limit=5)
    assert (row["code"], row["detail"], row["message_id"]) == ("window.closed", "d", second.message_id)
    assert await pool.fetchval("SELECT count(content) FROM recipients") == 0
    await held(outbox, [first])
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0, "what was refused and accepted as well is not sent"


async def test_reports_are_kept_beside_the_end_in_whatever_order_they_come(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(n) for n in range(3)])
    read, lost, unheard = await asked_for(outbox, pool)
    at = now().replace(microsecond=0)

    def reported(request: MessageRequested, status: DeliveryStatus, seconds: int) -> RunReported:
        head = {"tenant_id": TENANT, "run_id": run_id, "message_id": request.message_id}
        return RunReported(**head, status=status, status_at=at + timedelta(seconds=seconds))

    early = reported(read, DeliveryStatus.READ, 9)
    await conclude.report(outbox, [early, early, reported(unheard, DeliveryStatus.SENT, 1)])
    async with outbox.transaction() as unit:
        await conclude.conclude(unit, [conclude.End(run_id, request.message_id, "sent") for request in (read, lost)])
    await conclude.report(
        outbox, [reported(read, DeliveryStatus.DELIVERED, 5), early, reported(lost, DeliveryStatus.FAILED, 7)]
    )
    await conclude.report(outbox, [reported(lost, DeliveryStatus.FAILED, 8)])
    found = await counted(pool, run_id)
    assert (found.sent, found.delivered, found.read, found.undelivered) == (2, 1, 1, 1)
    row = await pool.fetchrow(
        "SELECT read_at, failed_at FROM recipients WHERE message_id = ANY ($1) AND read_at IS NOT NULL", [read.message_id]
    )
    assert row is not None
    assert (row["read_at"], row["failed_at"]) == (at + timedelta(seconds=9), None)


async def test_too_many_failures_pause_a_run_and_it_may_try_again(outbox: Outbox, pool: Pool) -> None:
    stop = FailureStop(rate=0.5, after=10)
    run_id = await opened_with(outbox, [recipient(n) for n in range(600)], failure_stop=stop)
    requests = await asked_for(outbox, pool)

    async def ended(state: str, count: int) -> None:
        async with outbox.transaction() as unit:
            part = [requests.pop() for _ in range(count)]
            await conclude.conclude(unit, [conclude.End(run_id, request.message_id, state) for request in part])
        await settle_down(outbox)

    await ended("failed", 9)
    await ended("sent", 9)
    assert await state_of(pool, run_id) == "running"
    await held(outbox, requests[:5])
    await ended("failed", 1)
    row = await pool.fetchrow("SELECT state, code FROM runs WHERE id = $1", run_id)
    assert tuple(row or ()) == ("paused", "run.failure_rate")
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
    await resume(outbox, run_id)
    await settle_down(outbox)
    assert await state_of(pool, run_id) == "running"
    await ended("failed", 10)
    assert await state_of(pool, run_id) == "paused"


async def test_a_ledger_is_read_page_by_page(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(n) for n in range(1_100)])
    await cancel(outbox, await opened_with(outbox, [recipient(n) for n in range(5)]))
    seen: list[str] = []
    after = -1
    while rows := await recipients(pool, run_id, after=after, limit=300):
        seen += [row["phone"] for row in rows]
        after = rows[-1]["position"]
    assert seen == [recipient(n).to for n in range(1_100)]
    assert await recipients(pool, run_id, state=RecipientState.SENT, limit=10) == []


async def test_an_ended_run_is_looked_at_no_more(outbox: Outbox, pool: Pool) -> None:
    run_id = await opened_with(outbox, [recipient(1)], tenant=TenantId("tnt_z"))
    (request,) = await asked_for(outbox, pool)
    async with outbox.transaction() as unit:
        await conclude.conclude(unit, [conclude.End(run_id, MessageId(request.message_id), "sent")])
    await settle_down(outbox)
    assert await state_of(pool, run_id) == "ended"
    assert await pool.fetchval("SELECT count(*) FROM runs WHERE tend_at < 'infinity'") == 0
