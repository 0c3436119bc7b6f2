"""How a number stands, on the model."""

from __future__ import annotations

import pytest

from shared.limits.limiter import Ask, Limit, Line
from shared.limits.local import LocalLimiter
from shared.limits.rate import Rate
from tests.support.limits import StandingClock

NUMBER = Line("pn:1", Rate(10, burst=4))
HOUR = Limit("pn:1", "hour", Rate(1, burst=10), "limit.calls_per_hour")


async def test_a_number_that_has_sent_nothing_has_all_of_its_headroom() -> None:
    limiter = LocalLimiter(StandingClock())

    assert await limiter.standing({NUMBER: [HOUR]}) == {"pn:1": (1.0, 1.0)}


async def test_headroom_is_what_is_left_of_a_burst_and_comes_back_with_time() -> None:
    clock = StandingClock()
    limiter = LocalLimiter(clock)
    await limiter.slots({NUMBER: 3}, horizon_seconds=0)

    assert (await limiter.standing({NUMBER: []}))["pn:1"].headroom == pytest.approx(0.25)
    clock.advance(0.2)
    assert (await limiter.standing({NUMBER: []}))["pn:1"].headroom == pytest.approx(0.75)


async def test_the_tightest_limit_says_what_the_headroom_is() -> None:
    limiter = LocalLimiter(StandingClock())
    await limiter.reserve([Ask(0, [HOUR])] * 8)

    assert (await limiter.standing({NUMBER: [HOUR]}))["pn:1"].headroom == pytest.approx(0.2)


async def test_slots_that_are_reserved_ahead_leave_no_headroom_and_less_than_none_is_none() -> None:
    limiter = LocalLimiter(StandingClock())
    await limiter.slots({NUMBER: 12}, horizon_seconds=1)

    assert (await limiter.standing({NUMBER: []}))["pn:1"].headroom == 0.0


async def test_a_slowed_number_has_a_share_of_its_rate_and_looking_uses_nothing() -> None:
    limiter = LocalLimiter(StandingClock())
    await limiter.slow({NUMBER: 0.5})

    first, again = [await limiter.standing({NUMBER: [HOUR]}) for _ in range(2)]

    assert first == again
    assert first["pn:1"].share == pytest.approx(0.5, rel=0.001)
    assert first["pn:1"].headroom == 1.0
