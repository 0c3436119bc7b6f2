"""The buckets against their definition."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.sandbox.domain.rates import PAIR_CAPACITY, NumberRate, PairRates, WindowRate


def admitted(rate: NumberRate | WindowRate, at: list[float]) -> list[float]:
    passed = []
    for now in at:
        if rate.has_room(now):
            rate.count(now)
            passed.append(now)
    return passed


def test_a_rested_number_sends_one_seconds_worth_at_once() -> None:
    assert len(admitted(NumberRate(80), [100.0] * 500)) == 80


def test_a_steady_sender_uses_all_of_the_rate() -> None:
    rate = NumberRate(80)
    admitted(rate, [100.0] * 80)
    assert len(admitted(rate, [100.0 + n / 800 for n in range(1, 8001)])) in (799, 800)


@given(st.integers(1, 50), st.lists(st.floats(0, 0.3), max_size=300))
def test_no_window_admits_more_than_rate_and_burst(per_second: int, gaps: list[float]) -> None:
    times, now = [], 1000.0
    for gap in gaps:
        now += gap
        times.append(now)
    passed = admitted(NumberRate(per_second), times)
    for first, start in enumerate(passed):
        within = sum(1 for at in passed[first:] if at <= start + 1.0)
        assert within <= 2 * per_second


def test_what_comes_in_takes_room_but_makes_no_debt() -> None:
    rate = NumberRate(10)
    for _ in range(1000):
        rate.count(50.0)
    assert not rate.has_room(50.0)
    assert len(admitted(rate, [51.0] * 100)) == 10


@given(st.integers(1, 20), st.lists(st.floats(0, 0.3), max_size=300))
def test_a_strict_number_admits_no_more_than_its_rate_in_any_second_and_refuses_nothing_else(
    per_second: int, gaps: list[float]
) -> None:
    times, now = [], 1000.0
    for gap in gaps:
        now += gap
        times.append(now)
    rate = WindowRate(per_second)
    passed: list[float] = []
    for at in times:
        within = sum(1 for before in passed if at - before < 1.0)
        assert rate.has_room(at) == (within < per_second)
        if within < per_second:
            rate.count(at)
            passed.append(at)


def test_what_comes_in_takes_room_of_a_strict_number_too() -> None:
    rate = WindowRate(2)
    for _ in range(3):
        rate.count(50.0)
    assert not rate.has_room(50.9)
    assert rate.has_room(51.0)


def test_a_pair_has_its_burst_then_one_every_six_seconds() -> None:
    pairs = PairRates()
    assert [pairs.take("1", 10.0) for _ in range(50)] == [True] * PAIR_CAPACITY + [False] * 5
    assert not pairs.take("1", 15.9)
    assert pairs.take("1", 16.0)
    assert not pairs.take("1", 16.0)
    assert pairs.take("2", 16.0)


def test_a_refused_pair_pays_nothing() -> None:
    pairs = PairRates()
    for _ in range(1000):
        pairs.take("1", 10.0)
    assert [pairs.take("1", 22.0) for _ in range(3)] == [True, True, False]


def test_rested_pairs_are_forgotten() -> None:
    pairs = PairRates()
    for n in range(100_000):
        assert pairs.take(str(n), n * 0.01)
    assert len(pairs) < 10_000
