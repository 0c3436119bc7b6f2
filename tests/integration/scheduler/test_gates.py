"""Gates and pauses: what is closed is not released, and goes on at once when it is open again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import datetime, timedelta

import aiohttp
import pytest
from pydantic import SecretStr

from services.scheduler import hold, release
from services.scheduler.app import build
from services.scheduler.domain.gate import LONGEST_GATE
from services.scheduler.settings import SchedulerSecuritySettings, SchedulerSettings, Settings
from services.scheduler.store import gates
from shared.bus.memory import MemoryBus
from shared.bus.outbox import Outbox
from shared.db.pool import Pool
from shared.events.catalogue import MessageAccepted, MessageExpired, MessageReleased
from shared.events.values import Gate, Tier
from shared.http.server import HttpServer
from shared.telemetry.metrics import Metrics
from shared.telemetry.tracing import Tracing
from tests.integration.scheduler.telling import (
    NUMBER,
    OTHER_TENANT,
    TENANT,
    accepted,
    connect,
    consistent,
    nothing,
    now,
    outcome,
    released,
    settle,
)
from tests.support.database import Database
from tests.support.told import told

SECOND, FOREIGN = "num_2", "num_3"
"""Another number of the tenant, and one of another tenant."""


def later(seconds: float = 60) -> datetime:
    return now() + timedelta(seconds=seconds)


async def close(outbox: Outbox, pool: Pool, *told_gates: Gate) -> None:
    """Have the sender put messages back with these gates, and end those messages."""
    message = [accepted(Tier.CRITICAL, number="num_closer") for _ in told_gates]
    await connect(outbox, "num_closer", rate=80)
    await hold.hold(outbox, message, nothing)
    events = [event for event in await released(outbox, pool) if event.number_id == "num_closer"]
    pairs = zip(events, told_gates, strict=True)
    await settle(outbox, *(outcome("deferred", event, retry_at=later(7200), gate=gate) for event, gate in pairs))


async def tiers_released(outbox: Outbox, pool: Pool) -> dict[str, set[Tier]]:
    """Which tiers of which number leave."""
    tiers: dict[str, set[Tier]] = {}
    for event in await released(outbox, pool):
        tiers.setdefault(event.number_id, set()).add(event.tier)
    return tiers


def one_of_each() -> list[MessageAccepted]:
    return [accepted(tier, number=number) for tier in Tier for number in (NUMBER, SECOND, FOREIGN)]


async def connect_all(outbox: Outbox) -> None:
    await connect(outbox)
    await connect(outbox, SECOND)
    await connect(outbox, FOREIGN, tenant=OTHER_TENANT)


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize(
    ("scope", "shut"),
    [(NUMBER, {NUMBER}), (TENANT, {NUMBER, SECOND}), ("*", {NUMBER, SECOND, FOREIGN}), ("num_unknown", set())],
)
async def test_a_gate_closes_its_tier_and_those_less_urgent_of_its_scope(
    scope: str, shut: set[str], tier: Tier, outbox: Outbox, pool: Pool
) -> None:
    await connect_all(outbox)
    await close(outbox, pool, Gate(scope=scope, tier=tier, until=later()))
    await hold.hold(outbox, one_of_each(), nothing)
    everything = set(Tier)
    open_tiers = {
        number: {one for one in everything if one < tier} if number in shut else everything
        for number in (NUMBER, SECOND, FOREIGN)
    }
    assert await tiers_released(outbox, pool) == {number: tiers for number, tiers in open_tiers.items() if tiers}
    await pool.execute("UPDATE gates SET until = now()")
    rest = {number: everything - tiers for number, tiers in open_tiers.items() if everything - tiers}
    assert await tiers_released(outbox, pool) == rest
    await consistent(pool)


async def test_a_gate_may_close_one_tier_alone(outbox: Outbox, pool: Pool) -> None:
    await connect_all(outbox)
    await close(outbox, pool, Gate(scope=NUMBER, tier=Tier.HIGH, last_tier=Tier.HIGH, until=later()))
    await hold.hold(outbox, one_of_each(), nothing)
    everything = set(Tier)
    assert await tiers_released(outbox, pool) == {NUMBER: everything - {Tier.HIGH}, SECOND: everything, FOREIGN: everything}
    await consistent(pool)


async def test_several_gates_close_what_any_of_them_closes(outbox: Outbox, pool: Pool) -> None:
    await connect_all(outbox)
    await close(
        outbox,
        pool,
        Gate(scope=NUMBER, tier=Tier.LOW, until=later()),
        Gate(scope=TENANT, tier=Tier.HIGH, until=later()),
        Gate(scope="*", tier=Tier.NORMAL, until=later()),
    )
    await hold.hold(outbox, one_of_each(), nothing)
    high = {Tier.CRITICAL, Tier.HIGH}
    assert await tiers_released(outbox, pool) == {NUMBER: {Tier.CRITICAL}, SECOND: {Tier.CRITICAL}, FOREIGN: high}


async def test_of_several_times_the_latest_counts_but_none_beyond_the_longest(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    times = [later(300), later(600), later(60)]
    await close(outbox, pool, *(Gate(scope="a", tier=Tier.HIGH, until=until) for until in times))
    await close(
        outbox, pool, Gate(scope="a", tier=Tier.HIGH, until=later(120)), Gate(scope="past", tier=Tier.LOW, until=later(-1))
    )
    await close(outbox, pool, Gate(scope="z", tier=Tier.LOW, until=later(10 * 86_400)))
    first, last = await pool.fetch("SELECT scope, tier, until, until - now() AS wait FROM gates ORDER BY scope")
    assert (first["scope"], first["tier"], first["until"]) == ("a", Tier.HIGH, times[1])
    assert last["scope"] == "z"
    assert LONGEST_GATE - timedelta(seconds=30) < last["wait"] <= LONGEST_GATE


async def test_an_outcome_told_again_does_not_close_a_gate_again(outbox: Outbox, pool: Pool) -> None:
    await connect(outbox)
    await hold.hold(outbox, [accepted()], nothing)
    (event,) = await released(outbox, pool)
    deferred = outcome("deferred", event, gate=Gate(scope=NUMBER, tier=Tier.CRITICAL, until=later()))
    await settle(outbox, deferred, deferred)
    assert await released(outbox, pool) == []
    await connect(outbox, revision=2)
    await settle(outbox, deferred)
    (again,) = await released(outbox, pool)
    assert again.attempt == 2


async def test_settlers_side_by_side_close_the_same_gates_without_a_deadlock(outbox: Outbox, pool: Pool) -> None:
    numbers = [f"num_{n}" for n in range(6)]
    for number in numbers:
        await connect(outbox, number, rate=100)
    await hold.hold(outbox, [accepted(Tier.CRITICAL, number=number) for number in numbers for _ in range(40)], nothing)
    events = await released(outbox, pool)
    until = later()

    def put_back(event: MessageReleased, place: int) -> Gate:
        return Gate(scope=numbers[place % 6], tier=Tier(place % 4), until=until + timedelta(seconds=place))

    batches: list[list[MessageReleased]] = [events[n::8] for n in range(8)]

    async def tell(batch: Sequence[MessageReleased], turn: int) -> None:
        order = batch if turn % 2 else list(reversed(batch))
        await settle(outbox, *(outcome("deferred", e, retry_at=until, gate=put_back(e, n + turn)) for n, e in enumerate(order)))

    async with asyncio.timeout(90):
        await asyncio.gather(*(tell(batch, turn) for turn, batch in enumerate(batches)), *(gates.prune(pool) for _ in range(4)))
    assert await pool.fetchval("SELECT count(*) FROM gates") > 4
    assert await consistent(pool) == 0


async def test_gates_past_their_time_are_forgotten(outbox: Outbox, pool: Pool) -> None:
    await close(outbox, pool, *(Gate(scope=scope, tier=Tier.LOW, until=later()) for scope in "ab"))
    await pool.execute("UPDATE gates SET until = now() WHERE scope = 'a'")
    await gates.prune(pool)
    assert [row["scope"] for row in await pool.fetch("SELECT scope FROM gates")] == ["b"]


async def test_a_paused_number_releases_nothing_until_a_later_record_resumes_it(outbox: Outbox, pool: Pool) -> None:
    await connect_all(outbox)
    await connect(outbox, revision=2, paused="provider.190")
    await hold.hold(outbox, [accepted(Tier.CRITICAL), accepted(number=SECOND)], nothing)
    assert await tiers_released(outbox, pool) == {SECOND: {Tier.NORMAL}}
    await connect(outbox, revision=1)
    assert await released(outbox, pool) == [], "an older record resumes nothing"
    await connect(outbox, revision=3)
    assert await tiers_released(outbox, pool) == {NUMBER: {Tier.CRITICAL}}


@pytest.mark.parametrize(("revision", "is_open"), [(1, False), (2, True)])
async def test_a_later_record_opens_the_numbers_own_gates_and_no_others(
    revision: int, is_open: bool, outbox: Outbox, pool: Pool
) -> None:
    await connect_all(outbox)
    scopes = (NUMBER, SECOND, OTHER_TENANT)
    await close(outbox, pool, *(Gate(scope=scope, tier=Tier.CRITICAL, until=later()) for scope in scopes))
    await connect(outbox, revision=revision, rate=1_000)
    await hold.hold(outbox, one_of_each(), nothing)
    assert set(await tiers_released(outbox, pool)) == ({NUMBER} if is_open else set())


async def test_messages_of_a_paused_number_and_behind_a_gate_still_expire(outbox: Outbox, pool: Pool) -> None:
    await connect_all(outbox)
    await connect(outbox, revision=2, paused="provider.190")
    await close(outbox, pool, Gate(scope=SECOND, tier=Tier.CRITICAL, until=later()))
    messages = [accepted(number=number, expires=-1) for number in (NUMBER, SECOND)]
    await hold.hold(outbox, messages, nothing)
    await release.expire(outbox)
    ended = [event.message_id for event in await told(pool) if isinstance(event, MessageExpired)]
    assert sorted(ended) == sorted(message.message_id for message in messages)


async def test_operators_see_what_is_closed(outbox: Outbox, pool: Pool, database: Database) -> None:
    await connect(outbox, revision=2, paused="provider.190")
    until = later()
    told_gates = [Gate(scope=scope, tier=Tier.HIGH, until=until) for scope in ("*", SECOND, "num_over")]
    await close(outbox, pool, *told_gates)
    await pool.execute("UPDATE gates SET until = now() WHERE scope = 'num_over'")
    settings = Settings(
        security=SchedulerSecuritySettings(internal_token=SecretStr("a token that the services share")),
        db=database.settings_for("scheduler"),
        scheduler=SchedulerSettings(port=0),
    )
    async with AsyncExitStack() as stack:
        (http, *_) = await build(stack, settings, MemoryBus(), Tracing("scheduler", settings.telemetry), Metrics("scheduler"))
        assert isinstance(http, HttpServer)
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        async with session.get(f"http://127.0.0.1:{http.port}/gates") as answer:
            shown = await answer.json()
    assert [(gate["scope"], gate["tier"]) for gate in shown["gates"]] == [("*", 1), (SECOND, 1)]
    assert {datetime.fromisoformat(gate["until"]) for gate in shown["gates"]} == {until}
    assert shown["paused"] == [{"number_id": NUMBER, "code": "provider.190"}]
