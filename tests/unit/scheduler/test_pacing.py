"""A run's own pace: never above its limit but for a short burst, and all of it is used."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from services.scheduler.domain.pacing import BURST_SECONDS, Allowance, grow, rate, wait
from services.scheduler.domain.run import Pacing

paces = st.builds(
    Pacing,
    messages_per_minute=st.integers(1, 100_000),
    ramp_from=st.none() | st.integers(1, 100_000),
    ramp_minutes=st.integers(1, 500),
)


def total(pacing: Pacing, seconds: float) -> float:
    """How many may have gone by then, added up slowly."""
    steps = 2_000
    return sum(rate(pacing, seconds * (step + 0.5) / steps) for step in range(steps)) * seconds / steps


@given(paces, st.lists(st.floats(0, 300), max_size=20))
def test_no_more_goes_than_the_pace_and_one_burst(pacing: Pacing, waits: list[float]) -> None:
    allowance, gone = Allowance(), 0
    fastest = max(rate(pacing, 0), rate(pacing, 1e9))
    for elapsed in waits:
        allowance = grow(pacing, allowance, elapsed)
        gone += int(allowance.tokens)
        allowance = Allowance(allowance.tokens - int(allowance.tokens), allowance.seconds)
    assert gone <= total(pacing, sum(waits)) * 1.001 + max(1.0, BURST_SECONDS * fastest) + 1


@given(paces, st.floats(0.01, 1.0), st.integers(1, 200))
@example(Pacing(messages_per_minute=37), 1.0, 18)
def test_a_run_that_is_looked_at_often_uses_all_of_its_pace(pacing: Pacing, every: float, rounds: int) -> None:
    allowance, gone = Allowance(), 0
    for _ in range(rounds):
        allowance = grow(pacing, allowance, every)
        gone += int(allowance.tokens)
        allowance = Allowance(allowance.tokens - int(allowance.tokens), allowance.seconds)
    assert gone >= total(pacing, every * rounds) * 0.999 - 2


@given(paces, st.floats(0, 0.99), st.floats(0, 1e5))
def test_after_the_wait_there_is_a_token_unless_the_pace_is_falling(pacing: Pacing, tokens: float, seconds: float) -> None:
    allowance = Allowance(tokens, seconds)
    later = grow(pacing, allowance, wait(pacing, allowance) * 1.001)
    falling = pacing.ramp_from is not None and pacing.ramp_from > pacing.messages_per_minute
    assert later.tokens >= 1 or falling


def test_a_ramp_rises_evenly_to_the_full_pace() -> None:
    pacing = Pacing(messages_per_minute=600, ramp_from=60, ramp_minutes=10)
    assert [round(rate(pacing, seconds) * 60) for seconds in (0, 150, 300, 600, 9_999)] == [60, 195, 330, 600, 600]


def test_a_clock_that_is_put_back_takes_nothing_away() -> None:
    assert grow(Pacing(messages_per_minute=60), Allowance(0.5, 10), -5) == Allowance(0.5, 10)
