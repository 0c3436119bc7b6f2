"""Holds on the real schema: claimed in order and within the window, settled once, and the window free again at the end."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.scheduler import hold, release
from services.scheduler.store import holds
from shared.bus.outbox import Outbox
from shared.db.pool import Pool, open_pool
from shared.errors import BatchFailed, Retry
from shared.events.catalogue import (
    MessageAccepted,
    MessageCanceled,
    MessageCancelRequested,
    MessageDeferred,
    MessageExpired,
    MessageFailed,
    MessageReleased,
    MessageSent,
    MessageUnsettled,
    NumberConnected,
    Tier,
)
from shared.events.event import Event
from shared.ids import MessageId, NumberId, TenantId, new_id
from tests.support.database import Database
from tests.support.told import silent_outbox, told

TENANT, OTHER_TENANT = TenantId("tnt_a"), TenantId("tnt_b")
NUMBER = NumberId("num_1")


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    async with open_pool(database.settings_for("scheduler", pool_max=10), "scheduler") as pool:
        yield pool


@pytest.fixture
def outbox(pool: Pool) -> Outbox:
    return silent_outbox(pool, "scheduler")


def nothing() -> None:
    """Nobody to wake."""


def now() -> datetime:
    return datetime.now(UTC)


def accepted(
    tier: Tier = Tier.NORMAL, due: float = -1.0, number: str = NUMBER, expires: float | None = None
) -> MessageAccepted:
    return MessageAccepted(
        tenant_id=TENANT,
        traceparent="00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        message_id=MessageId(new_id("msg")),
        number_id=NumberId(number),
        to="+15551234567",
        content={"type": "text", "text": {"body": "Grüße\n\u2028"}},
        tier=tier,
        not_before=now() + timedelta(seconds=due),
        expires_at=None if expires is None else now() + timedelta(seconds=expires),
    )


async def connect(outbox: Outbox, number: str = NUMBER, rate: int = 80, revision: int = 1) -> None:
    event = NumberConnected(
        tenant_id=TENANT,
        number_id=NumberId(number),
        revision=revision,
        phone_number_id="1",
        provider_url="http://x",
        sealed_access_token="",
        messages_per_second=rate,
    )
    await hold.know_numbers(outbox, [event], nothing)


async def released(outbox: Outbox, pool: Pool) -> list[MessageReleased]:
    """What one round releases."""
    await release.release_due(outbox)
    return [event for event in await told(pool) if isinstance(event, MessageReleased)]


def outcome(kind: str, event: MessageReleased, **changes: Any) -> Event:
    head: dict[str, Any] = {"tenant_id": event.tenant_id, "message_id": event.message_id, "attempt": event.attempt}
    match kind:
        case "sent":
            return MessageSent(**head, wamid="w", started_at=now())
        case "failed":
            return MessageFailed(**head, code="c", detail="d", started_at=now())
        case "deferred":
            return MessageDeferred(**{**head, "retry_at": now() - timedelta(seconds=1), "code": "c", **changes})
        case _:
            return MessageUnsettled(**head, code="c", started_at=now())


async def consistent(pool: Pool) -> int:
    """The invariant: a number's `in_flight` is the count of its released holds. Returns their sum."""
    rows = await pool.fetch(
        "SELECT in_flight, (SELECT count(*) FROM holds WHERE holds.number_id = n.number_id AND state = 'released') AS held "
        "FROM numbers n"
    )
    assert [row["in_flight"] for row in rows] == [row["held"] for row in rows]
    return sum(row["held"] for row in rows)


async def settle(outbox: Outbox, *events: Event) -> None:
    await hold.settle(outbox, events, nothing)


async def pass_time(pool: Pool, seconds: float, message_id: str | None = None) -> None:
    """Put back the clock of released holds."""
    await pool.execute(
        "UPDATE holds SET repeat_at = repeat_at - make_interval(secs => $1) WHERE message_id = coalesce($2, message_id)",
        seconds,
        message_id,
    )


async def cancel(outbox: Outbox, message_id: str, tenant: TenantId = TENANT, age: float = 0) -> None:
    request = MessageCancelRequested(tenant_id=tenant, message_id=MessageId(message_id))
    await hold.cancel(outbox, [request], request.occurred_at + timedelta(seconds=age))


async def test_a_released_message_carries_what_was_accepted(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message = accepted(Tier.HIGH, expires=60)
    await hold.hold(outbox, [message], nothing)
    (event,) = await released(outbox, pool)
    assert (event.attempt, event.failures) == (1, 0)
    for name in ("tenant_id", "traceparent", "message_id", "number_id", "to", "content", "tier", "expires_at"):
        assert getattr(event, name) == getattr(message, name), name


async def test_priority_goes_before_due_time_and_what_is_not_due_waits(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    plan = [accepted(tier, due) for tier in Tier for due in (-30.0, -20.0, -10.0)]
    later = [accepted(Tier.CRITICAL, 3600)]
    mixed = [*plan, *later]
    random.shuffle(mixed)
    await hold.hold(outbox, mixed, nothing)
    assert [event.message_id for event in await released(outbox, pool)] == [event.message_id for event in plan]
    assert await released(outbox, pool) == []


async def test_the_window_is_never_exceeded_and_urgent_ones_take_the_room_that_comes_free(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=1)
    await hold.hold(outbox, [accepted(Tier.LOW) for _ in range(100)], nothing)
    first = await released(outbox, pool)
    assert len(first) == await consistent(pool) == 4
    assert await released(outbox, pool) == []
    urgent = accepted(Tier.CRITICAL)
    await hold.hold(outbox, [urgent], nothing)
    await settle(outbox, *(outcome("sent", event) for event in first[:2]))
    assert (await released(outbox, pool))[0].message_id == urgent.message_id
    assert await consistent(pool) == 4


async def test_a_full_number_stands_in_no_other_numbers_way(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=1)
    await connect(outbox, "num_2", rate=1)
    await hold.hold(outbox, [accepted() for _ in range(10)], nothing)
    await released(outbox, pool)
    other = accepted(Tier.LOW, number="num_2")
    await hold.hold(outbox, [other], nothing)
    assert [event.message_id for event in await released(outbox, pool)] == [other.message_id]


async def test_a_round_is_bounded_and_serves_first_the_numbers_that_waited_longest(outbox: Outbox, pool: Pool) -> None:
    numbers = [f"num_{n:02}" for n in range(5)]
    for number in numbers:
        await connect(outbox, number)
    await hold.hold(outbox, [accepted(number=number) for number in numbers for _ in range(4)], nothing)

    async def claim() -> list[str]:
        async with outbox.transaction() as unit:
            claimed = await holds.claim_due(unit.connection, limit_numbers=2, limit_per_number=2, silent_seconds=90)
        return [event.number_id for event in claimed]

    rounds = [await claim() for _ in range(5)]
    assert [len(one) for one in rounds] == [4] * 5
    assert Counter(number for one in rounds for number in one) == dict.fromkeys(numbers, 4)
    assert len({number for one in rounds[:2] for number in one}) == 4, "nobody is served again before the others"
    assert set(rounds[2]) > set(numbers) - {number for one in rounds[:2] for number in one}


async def test_a_round_that_finds_nothing_due_writes_nothing(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted(due=3600), accepted(expires=-1)], nothing)
    before = await pool.fetch("SELECT ctid, xmin, xmax, * FROM numbers")
    assert await released(outbox, pool) == []
    assert await pool.fetch("SELECT ctid, xmin, xmax, * FROM numbers") == before


async def test_claimers_side_by_side_never_release_a_hold_twice(outbox: Outbox, pool: Pool) -> None:
    numbers = [f"num_{n}" for n in range(4)]
    for number in numbers:
        await connect(outbox, number, rate=1000)
    messages = [accepted(Tier(n % 4), number=numbers[n % 4]) for n in range(2_000)]
    await hold.hold(outbox, messages, nothing)

    async def claim() -> list[MessageReleased]:
        mine: list[MessageReleased] = []
        for _ in range(12):
            async with outbox.transaction() as unit:
                mine += await holds.claim_due(unit.connection, limit_numbers=4, limit_per_number=50, silent_seconds=90)
            await asyncio.sleep(0)
        return mine

    claimed = [event for part in await asyncio.gather(*(claim() for _ in range(8))) for event in part]
    while more := await released(outbox, pool):
        claimed += more
    assert Counter(event.message_id for event in claimed) == Counter(message.message_id for message in messages)
    assert {event.attempt for event in claimed} == {1}
    assert await consistent(pool) == 2_000


async def test_claimers_and_settlers_side_by_side_keep_the_window_and_leave_nothing_in_flight(
    outbox: Outbox, pool: Pool
) -> None:
    await connect(outbox, rate=40)
    await connect(outbox, "num_2", rate=40)
    await hold.hold(outbox, [accepted(number=NUMBER if n % 2 else "num_2") for n in range(400)], nothing)
    ended: Counter[str] = Counter()
    chance = random.Random(7)  # noqa: S311  # the same mixture every time

    async def work() -> None:
        while await pool.fetchval("SELECT count(*) FROM holds"):
            async with outbox.transaction() as unit:
                mine = await holds.claim_due(unit.connection, limit_numbers=2, limit_per_number=10, silent_seconds=90)
            assert await pool.fetchval("SELECT max(in_flight) FROM numbers") <= 40
            outcomes = [outcome(chance.choice(["sent", "failed", "deferred", "unsettled"]), event) for event in mine]
            await settle(outbox, *outcomes) if outcomes else await asyncio.sleep(0)
            final = [
                outcome("sent", event) for event, out in zip(mine, outcomes, strict=True) if isinstance(out, MessageUnsettled)
            ]
            if final:
                await settle(outbox, *final)
            ended.update(e.message_id for e in outcomes if isinstance(e, MessageSent | MessageFailed))

    async with asyncio.timeout(40):
        await asyncio.gather(*(work() for _ in range(4)))
    assert max(ended.values()) == 1
    assert await consistent(pool) == 0


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


async def test_a_message_accepted_twice_is_held_once(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message = accepted()
    await hold.hold(outbox, [message, message], nothing)
    assert len(await released(outbox, pool)) == 1
    await hold.hold(outbox, [message], nothing)
    assert await released(outbox, pool) == []


@pytest.mark.parametrize("end", ["canceled", "expired", "sent"])
async def test_a_message_whose_hold_has_ended_is_not_held_again(end: str, outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message, other = accepted(expires=-1 if end == "expired" else None), accepted()
    await hold.hold(outbox, [message], nothing)
    match end:
        case "canceled":
            await cancel(outbox, message.message_id)
        case "expired":
            await release.expire(outbox)
        case _:
            await settle(outbox, *(outcome("sent", event) for event in await released(outbox, pool)))
    assert await pool.fetchval("SELECT count(*) FROM holds") == 0
    await hold.hold(outbox, [message, other], nothing)
    assert [row["message_id"] for row in await pool.fetch("SELECT message_id FROM holds")] == [other.message_id]


async def test_a_waiting_message_is_canceled_once_and_told(outbox: Outbox, pool: Pool) -> None:
    message = accepted(due=3600)
    await hold.hold(outbox, [message], nothing)
    await cancel(outbox, message.message_id)
    (event,) = await told(pool)
    assert isinstance(event, MessageCanceled)
    assert (event.message_id, event.tenant_id) == (message.message_id, TENANT)
    await cancel(outbox, message.message_id, age=60)
    assert await told(pool) == []


async def test_a_released_message_is_not_canceled(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    (event,) = await released(outbox, pool)
    await cancel(outbox, event.message_id)
    assert await told(pool) == []
    assert await consistent(pool) == 1


async def test_another_tenants_message_is_not_canceled(outbox: Outbox, pool: Pool) -> None:
    message = accepted(due=3600)
    await hold.hold(outbox, [message], nothing)
    await cancel(outbox, message.message_id, OTHER_TENANT)
    assert await told(pool) == []
    assert await pool.fetchval("SELECT count(*) FROM holds") == 1


async def test_a_cancellation_that_overtakes_its_message_comes_back_and_then_holds(outbox: Outbox, pool: Pool) -> None:
    message, there = accepted(due=3600), accepted(due=3600)
    await hold.hold(outbox, [there], nothing)
    early, fine = (MessageCancelRequested(tenant_id=TENANT, message_id=m.message_id) for m in (message, there))
    with pytest.raises(BatchFailed) as caught:
        await hold.cancel(outbox, [early, fine], now())
    assert set(caught.value.failures) == {early.event_id}
    assert isinstance(caught.value.failures[early.event_id], Retry)
    assert [event.model_dump()["message_id"] for event in await told(pool)] == [there.message_id]
    await hold.hold(outbox, [message], nothing)
    await hold.cancel(outbox, [early], now())
    assert [event.model_dump()["message_id"] for event in await told(pool)] == [message.message_id]


async def test_a_message_that_was_not_released_in_its_time_expires_and_is_told(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    late, fine, gone = accepted(expires=-1), accepted(expires=60), accepted()
    await hold.hold(outbox, [late, fine, gone], nothing)
    assert {event.message_id for event in await released(outbox, pool)} == {fine.message_id, gone.message_id}
    assert not await release.expire(outbox)
    (event,) = await told(pool)
    assert isinstance(event, MessageExpired)
    assert event.message_id == late.message_id
    await release.expire(outbox)
    assert await told(pool) == []


async def test_messages_of_an_unknown_number_wait_until_it_is_known(outbox: Outbox, pool: Pool) -> None:
    message = accepted()
    await hold.hold(outbox, [message], nothing)
    assert await released(outbox, pool) == []
    await connect(outbox)
    assert [event.message_id for event in await released(outbox, pool)] == [message.message_id]


async def test_an_older_record_of_a_number_changes_nothing(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=1000, revision=2)
    await connect(outbox, rate=1, revision=1)
    assert await pool.fetchval("SELECT window_size FROM numbers") == 1_000
    await connect(outbox, rate=100, revision=3)
    assert await pool.fetchval("SELECT window_size FROM numbers") == 100


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
