"""Outcomes: each ends, puts back or parks its hold once, and gives the number room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import pytest

from services.scheduler import hold
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.values import OnUnknown
from shared.ids import MessageId, new_id
from tests.integration.scheduler.telling import accepted, connect, consistent, nothing, now, outcome, released, settle


async def test_a_deferred_message_comes_back_under_its_next_attempt_with_its_failures_counted(
    outbox: Outbox, pool: Pool
) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("deferred", first))
    (second,) = await released(outbox, pool)
    assert (second.attempt, second.failures) == (2, 1)
    await settle(outbox, outcome("deferred", second, counted=False))
    (third,) = await released(outbox, pool)
    assert (third.attempt, third.failures) == (3, 1)
    await settle(outbox, outcome("deferred", third, retry_at=now() + timedelta(hours=1)))
    assert await released(outbox, pool) == []
    assert await consistent(pool) == 0


async def test_what_failed_although_nobody_traced_it_is_traced_from_then_on(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    recorded, later = (f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{n}-01" for n in (1, 2))
    await hold.hold(outbox, [accepted(traceparent=None)], nothing)
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("deferred", first))
    (second,) = await released(outbox, pool)
    assert second.traceparent is None
    await settle(outbox, outcome("deferred", second, traceparent=recorded))
    (third,) = await released(outbox, pool)
    assert third.traceparent == recorded
    await settle(outbox, outcome("deferred", third, traceparent=later))
    (fourth,) = await released(outbox, pool)
    assert fourth.traceparent == recorded, "its trace has one place where it began"


@pytest.mark.parametrize(
    "kinds", [("sent",), ("failed",), ("deferred",), ("unsettled",), ("unsettled", "sent"), ("unsettled", "deferred")]
)
async def test_outcomes_told_again_do_nothing(kinds: Sequence[str], outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted(), accepted()], nothing)
    event, _ = await released(outbox, pool)
    outcomes = [outcome(kind, event, retry_at=now() + timedelta(hours=1)) for kind in kinds]
    for one in outcomes:
        await settle(outbox, one)
    before = await pool.fetch("SELECT * FROM holds ORDER BY message_id")
    for one in outcomes:
        await settle(outbox, one, one)
    assert await pool.fetch("SELECT * FROM holds ORDER BY message_id") == before
    assert await consistent(pool) == 1


async def test_an_outcome_of_an_earlier_attempt_or_of_no_hold_does_nothing(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("deferred", first))
    (second,) = await released(outbox, pool)
    await settle(outbox, outcome("sent", first))
    assert await consistent(pool) == 1
    await settle(outbox, outcome("sent", second.model_copy(update={"message_id": MessageId(new_id("msg"))})))
    assert await consistent(pool) == 1


async def test_a_message_that_is_put_back_keeps_the_time_since_when_it_could_have_been_sent(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message = accepted(due=-3600)
    await hold.hold(outbox, [message], nothing)
    for retry_at in (now() - timedelta(days=400), now() - timedelta(seconds=1), now() - timedelta(seconds=1)):
        (event,) = await released(outbox, pool)
        assert event.first_due_at == message.not_before
        await settle(outbox, outcome("deferred", event, retry_at=retry_at))
    (event,) = await released(outbox, pool)
    assert (event.first_due_at, event.attempt) == (message.not_before, 4)


async def test_a_parked_message_that_its_policy_sends_again_goes_back_to_waiting(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted(on_unknown=OnUnknown.RESEND)], nothing)
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", first))
    assert await consistent(pool) == 0, "a parked message takes no room"
    assert await released(outbox, pool) == []
    await settle(outbox, outcome("deferred", first, code="unknown.resent", counted=False))
    (second,) = await released(outbox, pool)
    assert (second.attempt, second.failures, second.on_unknown) == (2, 0, OnUnknown.RESEND)
    late = [outcome("unsettled", first), outcome("deferred", first, code="unknown.resent"), outcome("sent", first)]
    for one in late:
        await settle(outbox, one)
    assert await consistent(pool) == 1, "what is told of the attempt before changes nothing"
    await settle(outbox, outcome("sent", second))
    assert await pool.fetchval("SELECT count(*) FROM holds") == await consistent(pool) == 0


async def test_a_message_put_back_that_is_reported_to_have_arrived_is_not_released_again(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted(on_unknown=OnUnknown.RESEND)], nothing)
    (first,) = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", first))
    await settle(outbox, outcome("deferred", first, code="unknown.resent", counted=False))
    await settle(outbox, outcome("sent", first))
    assert await released(outbox, pool) == []
    assert await pool.fetchval("SELECT count(*) FROM holds") == await consistent(pool) == 0


async def test_a_parked_message_told_again_stays_parked_and_is_written_once(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    (event,) = await released(outbox, pool)
    await settle(outbox, outcome("unsettled", event))
    before = await pool.fetch("SELECT ctid, xmin, * FROM holds")
    for _ in range(2):
        await settle(outbox, outcome("unsettled", event, code="unknown.unconfirmed"))
    assert await pool.fetch("SELECT ctid, xmin, * FROM holds") == before
    assert await consistent(pool) == 0
    await settle(outbox, outcome("sent", event))
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
