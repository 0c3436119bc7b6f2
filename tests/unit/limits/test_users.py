"""Unique users a day, on the model."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from shared.limits.limiter import GRANTED, Ask, Limit, Line, Refused, UserLimit, Window
from shared.limits.local import LocalLimiter
from shared.limits.rate import Rate
from tests.support.limits import StandingClock, granted, refused

LINE = Line("pn:1", Rate(1000))
HOUR = 3_600.0
DAY = 24 * HOUR


def to(user: int, most: int, *limits: Limit, number: int = 1) -> Ask:
    return Ask(2, limits, UserLimit("pf:1", most, f"u{user}", f"{number}:u{user}", "limit.users"))


@given(
    st.integers(1, 5),
    st.lists(
        st.tuples(
            st.sampled_from([0.0, 1.0, HOUR, 7 * HOUR, 23 * HOUR, DAY]), st.lists(st.integers(0, 9), min_size=1, max_size=6)
        ),
        min_size=1,
        max_size=20,
    ),
    st.booleans(),
)
def test_in_any_24_hours_no_more_users_are_written_to(most: int, plan: list[tuple[float, list[int]]], is_crossed: bool) -> None:
    """`is_crossed`: another group refuses some of them."""
    tenant = Limit("tn:1", "rate", Rate(1, burst=3), "limit.tenant")

    async def check() -> None:
        clock, written = StandingClock(), list[tuple[int, int]]()
        limiter = LocalLimiter(clock)
        for pause, users in plan:
            clock.advance(pause)
            asks = [to(user, most, tenant) if is_crossed else to(user, most) for user in users]
            answer = await limiter.reserve(asks)
            inside = {user for moment, user in written if moment > clock.microseconds - DAY * 1_000_000}
            for user, verdict in zip(users, answer, strict=True):
                if verdict == GRANTED:
                    written.append((clock.microseconds, user))
                elif isinstance(verdict, Refused) and verdict.code == "limit.users":
                    assert user not in inside, "who is counted is free"
        for start, _ in written:
            assert len({user for moment, user in written if start <= moment < start + DAY * 1_000_000}) <= most

    asyncio.run(check())


async def test_who_is_inside_the_customer_service_window_is_not_counted() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    await limiter.debit({LINE: 1}, [Window("pf:1", "1:u7")])
    answer = await limiter.reserve([to(1, 1), to(7, 1), to(2, 1), to(7, 1, number=2)])
    assert [verdict == GRANTED for verdict in answer] == [True, True, False, False], "a window is of one number"
    clock.advance(DAY - 1)
    await limiter.debit({}, [Window("pf:1", "1:u7", 0.5), Window("pf:1", "1:u8", 0.0)])
    assert granted(await limiter.reserve([to(7, 0)])) == 1, "a late older report does not shorten it"
    clock.advance(1)
    assert granted(await limiter.reserve([to(7, 0), to(8, 0)])) == 0


async def test_the_refused_come_back_as_users_are_forgotten() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    for user in range(3):
        await limiter.reserve([to(user, 3)])
        clock.advance(HOUR)
    waits = [verdict.retry_seconds for verdict in refused(await limiter.reserve([to(n, 3) for n in range(10, 15)]))]
    assert [round(wait / HOUR) for wait in waits] == [21, 22, 23, 31, 39], "the last two ask again at the mean pace"
    passed = 0.0
    for n, wait in enumerate(waits[:3]):
        clock.advance(wait - passed)
        passed = wait
        assert granted(await limiter.reserve([to(10 + n, 3)])) == 1


async def test_a_user_that_another_group_refused_is_not_counted() -> None:
    limiter = LocalLimiter(StandingClock())
    closed = Limit("tn:1", "rate", Rate(0.001), "limit.tenant")
    await limiter.reserve([Ask(0, (closed,))])
    assert granted(await limiter.reserve([to(1, 2)])) == 1
    assert granted(await limiter.reserve([to(1, 2, closed), to(2, 2, closed)])) == 0
    answer = await limiter.reserve([to(3, 2), to(4, 2), to(1, 2)])
    assert [verdict == GRANTED for verdict in answer] == [True, False, True], "the first still is"
