"""Limits by rate, on the model: what holds whatever is asked, and when."""

from __future__ import annotations

import asyncio
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
    return Ask(LINE, tier, limits)


pauses = st.sampled_from([0.0, 0.000_001, 0.01, 0.3, 1.0, 7.0])
plans = st.lists(st.tuples(pauses, st.lists(st.integers(0, 3), min_size=1, max_size=12)), min_size=1, max_size=25)
bounds = st.sampled_from([(1, 1.0, 1), (5, 1.0, 1), (5, 1.0, 5), (60, 60.0, 3), (10, 6.0, 4), (7, 2.5, 2)])


@given(bounds, st.sampled_from([0.0, 0.4, 2.0]), plans, st.data())
def test_no_window_holds_more_than_the_limit_though_some_leave_late(
    bound: tuple[int, float, int], late: float, plan: list[tuple[float, list[int]]], data: st.DataObject
) -> None:
    most, seconds, burst = bound
    limit = Limit("tn:1", "rate", Rate.within(most, seconds, burst, late_seconds=late), "limit.tenant")
    lateness = st.integers(0, round(late * SECOND))

    async def check() -> None:
        clock, moments = StandingClock(), list[int]()
        limiter = LocalLimiter(clock)
        for pause, tiers in plan:
            clock.advance(pause)
            answer = await limiter.reserve([ask(limit, tier=tier) for tier in tiers], horizon_seconds=1)
            moments += [clock.microseconds + data.draw(lateness) for _ in range(granted(answer))]
        assert most_within(moments, round(seconds * SECOND)) <= most

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
            answer = await self.reserve([ask(self.limit)] * count, horizon_seconds=1)
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
    bound: tuple[int, float, int], plan: list[tuple[float, list[bool], float, int]]
) -> None:
    most, seconds, burst = bound
    limit = Limit("tn:1", "rate", Rate.within(most, seconds, burst), "limit.tenant", shared=False)
    closed = Limit("*", "closed", Rate(0.000_001), "limit.global")

    async def check() -> None:
        clock, moments = StandingClock(), list[int]()
        limiter = Interrupted(clock, moments, limit)
        await limiter.reserve([ask(closed)], horizon_seconds=1)
        for pause, are_refused, lag, count in plan:
            clock.advance(pause)
            limiter.interruption = (lag, count)
            began = clock.microseconds
            answer = await limiter.reserve(
                [ask(limit, closed) if is_refused else ask(limit) for is_refused in are_refused], horizon_seconds=1
            )
            moments += [began] * granted(answer)
        assert most_within(moments, round(seconds * SECOND)) <= most

    asyncio.run(check())


async def test_what_is_given_back_late_is_worth_less() -> None:
    clock, moments = StandingClock(), list[int]()
    limit = Limit("tn:1", "rate", Rate(1, burst=2), "limit.tenant", shared=False)
    closed = Limit("*", "closed", Rate(0.001), "limit.global")
    limiter = Interrupted(clock, moments, limit)
    await limiter.reserve([ask(closed)], horizon_seconds=1)
    limiter.interruption = (1.0, 5)
    await limiter.reserve([ask(limit, closed)] * 2, horizon_seconds=1)
    assert len(moments) == 1, "what had become free meanwhile"
    assert granted(await limiter.reserve([ask(limit)] * 5, horizon_seconds=1)) == 1, "together the burst"


async def test_what_another_group_refuses_is_given_back_at_once() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    tenant = Limit("tn:1", "rate", Rate(0.1), "limit.tenant")
    pair = PAIR._replace(rate=Rate(1 / 6, burst=2))
    answer = await limiter.reserve([ask(pair, tenant), ask(pair, tenant)], horizon_seconds=1)
    assert answer.verdicts == [Granted(), Refused("limit.tenant", 10.0)]
    assert answer.slots["pn:1"].waits_seconds == [0.0]
    assert answer.slots["pn:1"].retry_seconds == 0.001
    answer = await limiter.reserve([ask(pair)] * 2, horizon_seconds=1)
    assert granted(answer) == 1, "the pair's second was not used up"


async def test_a_message_refused_by_one_of_its_limits_uses_none_of_the_others() -> None:
    limiter = LocalLimiter(StandingClock())
    free = Limit("pn:1", "hour", Rate(1, burst=10), "limit.hour", shared=False)
    single = Limit("pn:1", "pair:b", Rate(1), "limit.pair")
    answer = await limiter.reserve([ask(free, single)] * 30, horizon_seconds=1)
    assert granted(answer) == 1
    assert granted(await limiter.reserve([ask(free)] * 30, horizon_seconds=1)) == 9


async def test_the_refused_come_back_at_a_thousand_moments_and_find_room() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    first = await limiter.reserve([ask(PAIR)] * 545, horizon_seconds=1)
    assert granted(first) == 45
    later = refused(await limiter.reserve([ask(PAIR)] * 500, horizon_seconds=1))
    moments = [verdict.retry_seconds for verdict in refused(first) + later]
    assert len(set(moments)) == 1_000
    assert moments == pytest.approx([6.0 * n for n in range(1, 1_001)])
    assert {verdict.code for verdict in later} == {"limit.pair"}
    start = clock.microseconds
    for moment in moments:
        clock.advance(moment - (clock.microseconds - start) / SECOND)
        assert granted(await limiter.reserve([ask(PAIR)], horizon_seconds=1)) == 1


async def test_a_little_lateness_costs_no_rate() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    limit = Limit("pn:1", "tier:2", Rate.within(60, 60, burst=3), "limit.tier", shared=False)
    sent = 0
    for _ in range(600):
        answer = await limiter.reserve([ask(limit)], horizon_seconds=1)
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
        answer = await limiter.reserve([ask(tenant, tier=tier)] * 100, horizon_seconds=1)
        passed.append(granted(answer))
    assert passed == [11, 10, 10, 10]


async def test_the_place_of_an_urgent_message_is_before_those_of_less_urgent_ones() -> None:
    limiter = LocalLimiter(StandingClock())
    tenant = Limit("tn:1", "rate", Rate(10), "limit.tenant")
    low = refused(await limiter.reserve([ask(tenant, tier=3)] * 101, horizon_seconds=1))
    assert low[-1].retry_seconds == pytest.approx(10)
    [critical] = refused(await limiter.reserve([ask(tenant, tier=0)], horizon_seconds=1))
    assert critical.retry_seconds == pytest.approx(0.1)
    [low_again] = refused(await limiter.reserve([ask(tenant, tier=3)], horizon_seconds=1))
    assert low_again.retry_seconds == pytest.approx(10.2), "the critical one stands before it"


async def test_refused_by_two_groups_it_comes_again_at_the_later_place() -> None:
    limiter = LocalLimiter(StandingClock())
    tenant, everybody = Limit("tn:1", "rate", Rate(1), "limit.tenant"), Limit("*", "rate", Rate(0.5), "limit.global")
    answer = await limiter.reserve([ask(tenant, everybody)] * 2, horizon_seconds=1)
    assert answer.verdicts == [Granted(), Refused("limit.global", 2.0)]


async def test_a_pair_rests_longer_each_time_and_is_forgiven() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    rests = []
    for _ in range(7):
        rest = await limiter.rest_pair(PAIR)
        rests.append(rest)
        clock.advance(rest / 2)
        assert await limiter.rest_pair(PAIR) == rest / 2, "what had left before does not count"
        [verdict] = refused(await limiter.reserve([ask(PAIR, tier=0)], horizon_seconds=1))
        assert verdict.retry_seconds >= rest / 2
        clock.advance(rest / 2)
    assert granted(await limiter.reserve([ask(PAIR)] * 5, horizon_seconds=1)) == 1, "one, and then at the pace"
    assert rests == [1, 4, 16, 64, 256, 1024, 1024]
    clock.advance(600)
    assert await limiter.rest_pair(PAIR) == 1
