"""Limits by rate, on the model: what holds whatever is asked, and when."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.limits.grouped import Call
from shared.limits.limiter import Ask, Granted, Limit, Line, Refused
from shared.limits.local import LocalLimiter
from shared.limits.rate import Rate
from shared.limits.requests import GiveBackRequest
from tests.support.limits import StandingClock, granted, most_within, refused

LINE = Line("pn:1", Rate(1000))
PAIR = Limit("pn:1", "pair:a", Rate(1 / 6, burst=45), "limit.pair", shared=False)
SECOND = 1_000_000


def ask(*limits: Limit, tier: int = 2) -> Ask:
    return Ask(tier, limits)


pauses = st.sampled_from([0.0, 0.000_001, 0.01, 0.3, 1.0, 7.0])
bounds = st.integers(1, 20).flatmap(
    lambda most: st.tuples(st.just(most), st.sampled_from([0.5, 1.0, 7.3, 60.0]), st.floats(1, most))
)
"""A limit, its span in seconds, a burst."""


@given(
    bounds,
    st.floats(0, 3),
    st.lists(st.tuples(pauses, st.integers(1, 30), st.integers(0, 3)), min_size=1, max_size=5),
)
def test_no_window_holds_more_than_the_limit_though_some_leave_late(
    bound: tuple[int, float, float], late: float, plan: list[tuple[float, int, int]]
) -> None:
    """After each rest some messages of a tier, each as soon as it can."""
    most, seconds, burst = bound
    limit = Limit("tn:1", "rate", Rate.within(most, seconds, burst, late_seconds=late), "limit.tenant")

    async def check() -> None:
        clock, moments = StandingClock(), list[int]()
        limiter = LocalLimiter(clock)
        for rest, count, tier in plan:
            clock.advance(rest)
            for _ in range(count):
                while places := refused(await limiter.reserve([ask(limit, tier=tier)])):
                    clock.advance(places[0].retry_seconds)
                moments.append(clock.microseconds)
        # What leaves in a span, none later than `late`, was granted in the span or that long before it.
        assert most_within(moments, math.floor((seconds + late) * SECOND)) <= most

    asyncio.run(check())


class Interrupted(LocalLimiter):
    """Between the question and what is given back time passes, and another replica asks."""

    def __init__(self, clock: StandingClock, moments: list[int], limit: Limit) -> None:
        super().__init__(clock)
        self.clock, self.moments, self.limit = clock, moments, limit
        self.interruption: tuple[float, int] | None = None

    async def _run(self, calls: Sequence[Call]) -> list[list[int]]:
        if self.interruption is not None and isinstance(calls[0].request, GiveBackRequest):
            (lag, count), self.interruption = self.interruption, None
            self.clock.advance(lag)
            answer = await self.reserve([ask(self.limit)] * count)
            self.moments += [self.clock.microseconds] * granted(answer)
        return await super()._run(calls)


@given(
    bounds,
    st.lists(
        st.tuples(
            pauses,
            st.lists(st.booleans(), min_size=1, max_size=8),
            st.sampled_from([0.0, 0.1, 1.0, 2.5, 7.0]),
            st.integers(0, 6),
        ),
        min_size=1,
        max_size=20,
    ),
)
def test_what_is_given_back_never_lets_a_window_overflow(
    bound: tuple[int, float, float], plan: list[tuple[float, list[bool], float, int]]
) -> None:
    most, seconds, burst = bound
    limit = Limit("tn:1", "rate", Rate.within(most, seconds, burst), "limit.tenant", shared=False)
    closed = Limit("*", "closed", Rate(0.000_001), "limit.global")

    async def check() -> None:
        clock, moments = StandingClock(), list[int]()
        limiter = Interrupted(clock, moments, limit)
        await limiter.reserve([ask(closed)])
        for pause, are_refused, lag, count in plan:
            clock.advance(pause)
            limiter.interruption = (lag, count)
            began = clock.microseconds
            answer = await limiter.reserve([ask(limit, closed) if is_refused else ask(limit) for is_refused in are_refused])
            moments += [began] * granted(answer)
        assert most_within(moments, round(seconds * SECOND)) <= most

    asyncio.run(check())


async def test_what_is_given_back_late_is_worth_less() -> None:
    clock, moments = StandingClock(), list[int]()
    limit = Limit("tn:1", "rate", Rate(1, burst=2), "limit.tenant", shared=False)
    closed = Limit("*", "closed", Rate(0.001), "limit.global")
    limiter = Interrupted(clock, moments, limit)
    await limiter.reserve([ask(closed)])
    limiter.interruption = (1.0, 5)
    await limiter.reserve([ask(limit, closed)] * 2)
    assert len(moments) == 1, "what had become free meanwhile"
    assert granted(await limiter.reserve([ask(limit)] * 5)) == 1, "together the burst"


async def test_what_another_group_refuses_is_given_back_at_once() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    tenant = Limit("tn:1", "rate", Rate(0.1), "limit.tenant")
    pair = PAIR._replace(rate=Rate(1 / 6, burst=2))
    answer = await limiter.reserve([ask(pair, tenant), ask(pair, tenant)])
    assert answer == [Granted(), Refused("limit.tenant", 10.0)]
    answer = await limiter.reserve([ask(pair)] * 2)
    assert granted(answer) == 1, "the pair's second was not used up"


async def test_a_message_refused_by_one_of_its_limits_uses_none_of_the_others() -> None:
    limiter = LocalLimiter(StandingClock())
    free = Limit("pn:1", "hour", Rate(1, burst=10), "limit.hour", shared=False)
    single = Limit("pn:1", "pair:b", Rate(1), "limit.pair")
    answer = await limiter.reserve([ask(free, single)] * 30)
    assert granted(answer) == 1
    assert granted(await limiter.reserve([ask(free)] * 30)) == 9


async def test_the_refused_come_back_at_a_thousand_moments_and_find_room() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    first = await limiter.reserve([ask(PAIR)] * 545)
    assert granted(first) == 45
    later = refused(await limiter.reserve([ask(PAIR)] * 500))
    moments = [verdict.retry_seconds for verdict in refused(first) + later]
    assert len(set(moments)) == 1_000
    assert moments == pytest.approx([6.0 * n for n in range(1, 1_001)])
    assert {verdict.code for verdict in later} == {"limit.pair"}
    start = clock.microseconds
    for moment in moments:
        clock.advance(moment - (clock.microseconds - start) / SECOND)
        assert granted(await limiter.reserve([ask(PAIR)])) == 1


async def test_a_little_lateness_costs_no_rate() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    limit = Limit("pn:1", "tier:2", Rate.within(60, 60, burst=3), "limit.tier", shared=False)
    sent = 0
    for _ in range(600):
        answer = await limiter.reserve([ask(limit)])
        sent += granted(answer)
        waits = [verdict.retry_seconds for verdict in refused(answer)]
        clock.advance((waits or [0.0])[0] + 0.15)
        if clock.microseconds - 1_790_000_000_000_000 > 300 * SECOND:
            break
    assert sent >= 0.95 * 60 * 5


async def test_the_less_urgent_leave_a_part_of_a_shared_burst() -> None:
    limiter = LocalLimiter(StandingClock())
    tenant = Limit("tn:1", "rate", Rate(10, burst=41), "limit.tenant")
    passed = []
    for tier in (3, 2, 1, 0):
        answer = await limiter.reserve([ask(tenant, tier=tier)] * 100)
        passed.append(granted(answer))
    assert passed == [11, 10, 10, 10]


async def test_the_place_of_an_urgent_message_is_before_those_of_less_urgent_ones() -> None:
    limiter = LocalLimiter(StandingClock())
    tenant = Limit("tn:1", "rate", Rate(10), "limit.tenant")
    low = refused(await limiter.reserve([ask(tenant, tier=3)] * 101))
    assert low[-1].retry_seconds == pytest.approx(10)
    [critical] = refused(await limiter.reserve([ask(tenant, tier=0)]))
    assert critical.retry_seconds == pytest.approx(0.1)
    [low_again] = refused(await limiter.reserve([ask(tenant, tier=3)]))
    assert low_again.retry_seconds == pytest.approx(10.2), "the critical one stands before it"


async def test_refused_by_two_groups_it_comes_again_at_the_later_place() -> None:
    limiter = LocalLimiter(StandingClock())
    tenant, everybody = Limit("tn:1", "rate", Rate(1), "limit.tenant"), Limit("*", "rate", Rate(0.5), "limit.global")
    answer = await limiter.reserve([ask(tenant, everybody)] * 2)
    assert answer == [Granted(), Refused("limit.global", 2.0)]


async def test_a_pair_rests_longer_each_time_and_is_forgiven() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    rests = []
    for _ in range(7):
        rest = await limiter.rest_pair(PAIR)
        rests.append(rest)
        clock.advance(rest / 2)
        assert await limiter.rest_pair(PAIR) == rest / 2, "what had left before does not count"
        [verdict] = refused(await limiter.reserve([ask(PAIR, tier=0)]))
        assert verdict.retry_seconds >= rest / 2
        clock.advance(rest / 2)
    assert granted(await limiter.reserve([ask(PAIR)] * 5)) == 1, "one, and then at the pace"
    assert rests == [1, 4, 16, 64, 256, 1024, 1024]
    clock.advance(600)
    assert await limiter.rest_pair(PAIR) == 1
