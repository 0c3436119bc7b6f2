"""Releases: most urgent first, within the window, each hold once however many claim side by side."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime

from services.scheduler import hold
from services.scheduler.domain.window import places
from services.scheduler.store import holds
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import MessageFailed, MessageReleased, MessageSent, MessageUnsettled
from shared.events.values import OnUnknown, Tier
from tests.integration.scheduler.telling import (
    NUMBER,
    TENANT,
    accepted,
    connect,
    consistent,
    nothing,
    outcome,
    released,
    settle,
)


async def test_a_released_message_carries_what_was_accepted(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    message = accepted(Tier.HIGH, expires=60, on_unknown=OnUnknown.RESEND)
    await hold.hold(outbox, [message], nothing)
    (event,) = await released(outbox, pool)
    assert (event.attempt, event.failures) == (1, 0)
    for name in ("tenant_id", "traceparent", "message_id", "number_id", "to", "content", "tier", "expires_at", "on_unknown"):
        assert getattr(event, name) == getattr(message, name), name
    assert event.first_due_at == message.not_before


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
    await hold.hold(outbox, [accepted(Tier.CRITICAL) for _ in range(10)], nothing)
    first = await released(outbox, pool)
    assert len(first) == await consistent(pool) == 4
    assert await released(outbox, pool) == []
    high = accepted(Tier.HIGH)
    urgent = accepted(Tier.CRITICAL, due=-60)
    await hold.hold(outbox, [high, urgent], nothing)
    await settle(outbox, *(outcome("sent", event) for event in first[:2]))
    assert (await released(outbox, pool))[0].message_id == urgent.message_id
    assert await consistent(pool) == 4


async def test_each_tier_leaves_a_part_of_the_window_to_those_more_urgent(outbox: Outbox, pool: Pool) -> None:
    windows = {f"num_{window:03}": window for window in (*range(4, 34), 80, 99)}
    for number, window in windows.items():
        await connect(outbox, number, rate=window)
    for tier in sorted(Tier, reverse=True):
        waiting = [accepted(tier, number=number) for number, window in windows.items() for _ in range(window + 1)]
        await hold.hold(outbox, waiting, nothing)
        while await released(outbox, pool):
            pass
        in_flight = {row["number_id"]: row["in_flight"] for row in await pool.fetch("SELECT number_id, in_flight FROM numbers")}
        assert in_flight == {number: places(window, tier) for number, window in windows.items()}, tier
    await consistent(pool)


async def test_a_critical_message_finds_room_at_once_before_any_backlog(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox, rate=1)
    await connect(outbox, "num_2", rate=10)
    backlog = [
        accepted(tier, due=-60, number=number) for tier in list(Tier)[1:] for number in (NUMBER, "num_2") for _ in range(50)
    ]
    await hold.hold(outbox, backlog, nothing)
    while await released(outbox, pool):
        pass
    urgent = [accepted(Tier.CRITICAL), accepted(Tier.CRITICAL, number="num_2")]
    await hold.hold(outbox, urgent, nothing)
    assert {event.message_id for event in await released(outbox, pool)} == {message.message_id for message in urgent}


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
        return [event.number_id for event in claimed.released]

    rounds = [await claim() for _ in range(5)]
    assert [len(one) for one in rounds] == [4] * 5
    assert Counter(number for one in rounds for number in one) == dict.fromkeys(numbers, 4)
    assert len({number for one in rounds[:2] for number in one}) == 4, "nobody is served again before the others"
    assert set(rounds[2]) > set(numbers) - {number for one in rounds[:2] for number in one}


async def test_a_critical_message_waits_for_no_number_of_its_tenant_and_starves_none(outbox: Outbox, pool: Pool) -> None:
    numbers = [f"num_{n:02}" for n in range(5)]
    for number in numbers:
        await connect(outbox, number)
    messages = [accepted(number=number) for number in numbers for _ in range(4)]
    urgent = [accepted(Tier.CRITICAL, number=numbers[-1]) for _ in range(4)]
    await hold.hold(outbox, [*messages, *urgent], nothing)

    async def claim() -> list[str]:
        async with outbox.transaction() as unit:
            claimed = await holds.claim_due(unit.connection, limit_numbers=2, limit_per_number=2, silent_seconds=90)
        return [event.message_id for event in claimed.released]

    first = await claim()
    assert len({message.message_id for message in urgent} & {*first}) == 2
    assert len(first) == 4, "the other place is for one without"
    every = {*first}
    for _ in range(6):
        every |= {*await claim()}
    assert every == {message.message_id for message in (*messages, *urgent)}


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
                claimed = await holds.claim_due(unit.connection, limit_numbers=4, limit_per_number=50, silent_seconds=90)
            mine += claimed.released
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
                claimed = await holds.claim_due(unit.connection, limit_numbers=2, limit_per_number=10, silent_seconds=90)
            mine = claimed.released
            assert await pool.fetchval("SELECT max(in_flight) FROM numbers") <= 40
            outcomes = [outcome(chance.choice(["sent", "failed", "deferred", "unsettled"]), event) for event in mine]
            await settle(outbox, *outcomes) if outcomes else await asyncio.sleep(0)
            final = [
                outcome("sent", event) for event, out in zip(mine, outcomes, strict=True) if isinstance(out, MessageUnsettled)
            ]
            if final:
                await settle(outbox, *final)
            ended.update(e.message_id for e in outcomes if isinstance(e, MessageSent | MessageFailed))

    async with asyncio.timeout(90):
        await asyncio.gather(*(work() for _ in range(4)))
    assert max(ended.values()) == 1
    assert await consistent(pool) == 0


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


async def test_a_hold_that_the_version_before_wrote_is_released(outbox: Outbox, pool: Pool) -> None:
    """Both run side by side while they are exchanged, on the schema of the later one."""
    await pool.execute(
        "INSERT INTO numbers (number_id, tenant_id, revision, messages_per_second, window_size) VALUES ($1, $2, 1, 1, 4)",
        NUMBER,
        TENANT,
    )
    await pool.execute(
        "INSERT INTO holds (message_id, tenant_id, number_id, tier, due_at, expires_at, recipient, content, traceparent) "
        "VALUES ('msg_1', $1, $2, 2, '2026-01-22T10:00:00Z', NULL, '+1', '{}', NULL)",
        TENANT,
        NUMBER,
    )
    (event,) = await released(outbox, pool)
    assert (event.on_unknown, event.first_due_at) == (OnUnknown.WAIT, datetime(2026, 1, 22, 10, tzinfo=UTC))
