"""What a process does alone, while Redis is away: less than its share, and never open."""

from __future__ import annotations

import pytest

from shared.limits.limiter import GRANTED, Ask, Limit, Line, Refused, UserLimit, Window
from shared.limits.local import LocalLimiter
from shared.limits.rate import Rate
from tests.support.limits import StandingClock, granted

LINE = Line("pn:1", Rate(100, burst=10))
PAIR = Limit("pn:1", "pair:a", Rate(1, burst=21), "limit.pair", shared=False)


async def test_nothing_is_saved_up_and_then_it_is_the_share() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock, stand_in_share=0.5)
    assert granted(await limiter.reserve([Ask(0, (PAIR,))] * 50)) == 1, "the first of each goes"
    passed = 0
    for _ in range(40):
        clock.advance(1)
        passed += granted(await limiter.reserve([Ask(0, (PAIR,))] * 50))
    assert passed == pytest.approx(20, abs=1)
    clock.advance(100)
    assert granted(await limiter.reserve([Ask(0, (PAIR,))] * 50)) == 11


async def test_a_number_has_its_share_of_slots() -> None:
    clock, taken = StandingClock(), 0
    limiter = LocalLimiter(clock, stand_in_share=0.25)
    for _ in range(100):
        taken += len((await limiter.slots({LINE: 1000}, horizon_seconds=0.1))["pn:1"].waits_seconds)
        clock.advance(0.1)
    assert 250 <= taken <= 250 + 3 + 3


async def test_users_are_shut_even_in_a_window() -> None:
    limiter = LocalLimiter(StandingClock(), stand_in_share=1.0)
    await limiter.debit({LINE: 1}, [Window("pf:1", "w")])
    users = UserLimit("pf:1", 1000, "u", "w", "limit.users")
    answer = await limiter.reserve([Ask(0, (), users), Ask(0)])
    assert answer == [Refused("limit.users", 5.0), GRANTED]
