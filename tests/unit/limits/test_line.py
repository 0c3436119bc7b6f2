"""A number's pace, on the model."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.limits.limiter import Line
from shared.limits.local import LocalLimiter
from shared.limits.rate import Rate
from tests.support.limits import StandingClock, most_within

SECOND = 1_000_000
NUMBER = Line("pn:1", Rate(100))

steps = st.lists(
    st.tuples(
        st.integers(0, 120),
        st.sampled_from([0.0, 0.001, 0.05, 0.4, 1.3]),
        st.sampled_from([0.0, 0.3, 1.0]),
        st.sampled_from(["slots", "slots", "slots", "debit", "slow"]),
    ),
    min_size=1,
    max_size=15,
)


@given(st.sampled_from([(1, 1), (3, 2), (7, 1.2), (80, 1), (80, 4.5), (1000, 50)]), steps)
def test_no_second_holds_more_slots_than_the_limit(bound: tuple[int, float], plan: list[tuple[int, float, float, str]]) -> None:
    limit, burst = bound
    line = Line("pn:1", Rate.within(limit, 1, burst))

    async def check() -> None:
        clock, moments = StandingClock(), list[int]()
        limiter = LocalLimiter(clock)
        for count, pause, horizon, step in plan:
            clock.advance(pause)
            if step == "debit":
                await limiter.debit({line: count})
                continue
            if step == "slow":
                await limiter.slow({line: 0.7})
                continue
            slots = (await limiter.slots({line: count}, horizon_seconds=horizon))["pn:1"]
            waits = slots.waits_seconds
            assert len(waits) <= count
            assert waits == sorted(waits)
            assert all(0 <= wait <= horizon for wait in waits)
            assert slots.retry_seconds >= (waits[-1] if waits else 0)
            moments += [clock.microseconds + round(wait * SECOND) for wait in waits]
        assert most_within(moments, SECOND) <= limit

    asyncio.run(check())


@given(st.integers(1, 1000))
def test_a_rate_without_burst_never_gives_two_at_once(per_second: int) -> None:
    slots = asyncio.run(LocalLimiter(StandingClock()).slots({Line("pn:1", Rate(per_second)): 50}, horizon_seconds=3600))["pn:1"]
    assert slots.waits_seconds[0] == 0
    assert all(after - before >= 1 / per_second - 1e-9 for before, after in pairwise(slots.waits_seconds))
    assert slots.retry_seconds == pytest.approx(50 / per_second, rel=0.001)


async def test_the_whole_rate_is_used() -> None:
    clock, taken = StandingClock(), 0
    limiter, line = LocalLimiter(clock), Line("pn:1", Rate(80))
    for _ in range(100):
        taken += len((await limiter.slots({line: 1000}, horizon_seconds=0.1))["pn:1"].waits_seconds)
        clock.advance(0.1)
    assert taken >= 0.99 * 80 * 10


async def test_inbound_messages_use_the_rate_but_not_for_ever() -> None:
    limiter = LocalLimiter(StandingClock())
    await limiter.debit({NUMBER: 30})
    slots = (await limiter.slots({NUMBER: 1000}, horizon_seconds=1))["pn:1"]
    assert slots.waits_seconds[0] == pytest.approx(0.3)
    assert len(slots.waits_seconds) == 71
    await limiter.debit({NUMBER: 1_000_000})
    [] = (await limiter.slots({NUMBER: 1}, horizon_seconds=1))["pn:1"].waits_seconds
    assert (await limiter.slots({NUMBER: 1}, horizon_seconds=6))["pn:1"].waits_seconds == [5.0]


async def test_a_slowed_number_is_slower_at_once_and_climbs_back_by_itself() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)

    async def share() -> float:
        return (await limiter.rates([NUMBER]))["pn:1"]

    assert await share() == 1
    await limiter.slow({NUMBER: 0.7})
    assert await share() == pytest.approx(0.7, rel=0.001)
    assert len((await limiter.slots({NUMBER: 1000}, horizon_seconds=1))["pn:1"].waits_seconds) == pytest.approx(70, abs=2)
    climbed = []
    for _ in range(10):
        climbed.append(await share())
        clock.advance(1)
    assert all(after > before for before, after in pairwise(climbed)), "every second a little"
    assert climbed[5] > 0.95, "fastest at first"
    clock.advance(0.1)
    assert await share() == 1


async def test_a_number_is_slowed_at_most_once_a_second() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    for _ in range(10):
        await limiter.slow({NUMBER: 0.7})
        clock.advance(0.099)
    assert (await limiter.rates([NUMBER]))["pn:1"] > 0.7
    clock.advance(0.01)
    await limiter.slow({NUMBER: 0.7})
    assert (await limiter.rates([NUMBER]))["pn:1"] < 0.6


@given(st.sampled_from([0.2, 1.0, 20.0, 1000.0]), st.lists(st.floats(0.01, 0.99), min_size=1, max_size=40))
def test_never_below_one_a_second_and_whole_again_in_half_a_minute(per_second: float, factors: list[float]) -> None:
    async def check() -> None:
        clock, line = StandingClock(), Line("pn:1", Rate(per_second))
        limiter = LocalLimiter(clock)
        for factor in factors:
            await limiter.slow({line: factor})
            assert (await limiter.rates([line]))["pn:1"] >= min(1.0, 1 / per_second)
            clock.advance(1)
        clock.advance(29)
        assert await limiter.rates([line]) == {"pn:1": 1.0}

    asyncio.run(check())
