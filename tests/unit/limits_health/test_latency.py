"""When answers begin to take longer, and what only looks like it."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

import pytest

from shared.limits.latency import LatencyWatch


def alarms(
    latency: Callable[[float], float], *, per_second: float, seconds: float, watch: LatencyWatch | None = None
) -> list[float]:
    """When it called out, fed so many answers a second, each as slow as `latency` says of its moment."""
    watch = watch or LatencyWatch()
    moments = [n / per_second for n in range(round(per_second * seconds))]
    return [now for now in moments if watch.feed(latency(now), now)]


@pytest.mark.parametrize("per_second", [1, 20, 80, 1_000])
def test_an_even_latency_is_no_alarm(per_second: float) -> None:
    assert alarms(lambda _: 0.2, per_second=per_second, seconds=120) == []


@pytest.mark.parametrize("per_second", [20, 80, 1_000])
def test_a_latency_with_a_long_tail_is_no_alarm(per_second: float) -> None:
    chance = random.Random(3)  # noqa: S311  # the same every time
    assert alarms(lambda _: chance.lognormvariate(-2, 0.6), per_second=per_second, seconds=300) == []


def test_one_very_slow_answer_is_no_alarm() -> None:
    assert alarms(lambda now: 5.0 if now == 30 else 0.1, per_second=80, seconds=60) == []


@pytest.mark.parametrize("per_second", [20, 80, 1_000])
def test_a_rise_is_said_within_seconds_and_not_at_every_answer(per_second: float) -> None:
    said = alarms(lambda now: 0.1 if now < 60 else 0.6, per_second=per_second, seconds=80)
    assert said, "it rose sixfold"
    assert 60 < said[0] <= 62.5
    assert all(later - earlier >= 5 for earlier, later in pairwise(said))


def test_what_has_become_usual_is_no_alarm_any_more() -> None:
    said = alarms(lambda now: 0.1 if now < 60 else 0.6, per_second=80, seconds=600)
    assert said[-1] < 120
    assert alarms(lambda _: 0.1, per_second=80, seconds=60, watch=LatencyWatch()) == []


def test_small_differences_of_a_fast_provider_are_no_alarm() -> None:
    assert alarms(lambda now: 0.004 if now < 60 else 0.08, per_second=1_000, seconds=90) == []


def test_answers_of_long_ago_say_nothing_about_now() -> None:
    watch = LatencyWatch()
    assert alarms(lambda _: 0.1, per_second=80, seconds=60, watch=watch) == []
    slow_and_rare = [watch.feed(5.0, 1_000.0 + 61 * n) for n in range(100)]
    assert not any(slow_and_rare)
