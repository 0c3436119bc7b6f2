"""The window and the parts of it that tiers leave to those more urgent."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scheduler.domain.window import SMALLEST_WINDOW, places, window_size
from shared.events.values import Tier

windows = st.integers(1, 2_000)


@given(st.integers(1, 1_000))
def test_the_window_is_one_second_and_never_shrinks_below_the_way_through_the_bus(rate: int) -> None:
    assert window_size(rate) == max(SMALLEST_WINDOW, rate)


@given(windows)
def test_the_more_urgent_may_fill_more_and_the_critical_all(window: int) -> None:
    by_tier = [places(window, tier) for tier in Tier]
    assert by_tier == sorted(by_tier, reverse=True)
    assert by_tier[0] == window
    assert min(by_tier) >= 1


@given(windows.filter(lambda window: window > 1))
def test_one_place_at_least_is_free_for_a_critical_message(window: int) -> None:
    assert all(places(window, tier) < window for tier in list(Tier)[1:])


@pytest.mark.parametrize(
    ("window", "by_tier"),
    [(1, [1, 1, 1, 1]), (4, [4, 3, 3, 3]), (10, [10, 9, 8, 7]), (80, [80, 72, 64, 56]), (1_000, [1_000, 900, 800, 700])],
)
def test_the_shares(window: int, by_tier: list[int]) -> None:
    assert [places(window, tier) for tier in Tier] == by_tier
