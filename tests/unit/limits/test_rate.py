from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.limits.limiter import pseudonym
from shared.limits.rate import Rate


def test_the_step_is_never_shorter_than_the_rate_allows() -> None:
    assert Rate(80).step_us == 12_500
    assert Rate(3).step_us == 333_334
    assert Rate(1 / 6, burst=45).ahead_us == 44 * 6_000_000
    assert Rate(1000).ahead_us == 0


@given(st.integers(1, 10_000), st.floats(0.5, 3_600), st.floats(1, 10_000), st.floats(0, 10))
def test_what_fits_a_limit_never_passes_it(limit: int, seconds: float, burst: float, late: float) -> None:
    burst = min(burst, limit)
    rate = Rate.within(limit, seconds, burst, late_seconds=late)
    assert rate.ahead_us + (seconds + late) * 1_000_000 <= limit * rate.step_us * (1 + 1e-9)


@pytest.mark.parametrize("burst", [0, 0.99, 10.01, 11])
def test_a_burst_beyond_the_limit_is_a_mistake(burst: float) -> None:
    with pytest.raises(ValueError, match="burst"):
        Rate.within(10, 1, burst)


def test_a_pseudonym_tells_nothing_and_is_always_the_same() -> None:
    name = pseudonym(b"secret", "num_1", "+15550100001")
    assert name == pseudonym(b"secret", "num_1", "+15550100001")
    assert len(name) == 16
    assert "5550100001" not in name
    others = {
        pseudonym(b"secret", "num_2", "+15550100001"),
        pseudonym(b"secret", "num_1", "+15550100002"),
        pseudonym(b"other", "num_1", "+15550100001"),
        pseudonym(b"secret", "num_1+1", "5550100001"),
    }
    assert name not in others
    assert len(others) == 4
