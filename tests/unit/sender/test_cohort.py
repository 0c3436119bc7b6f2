"""Failures are judged among the calls that began with them."""

from __future__ import annotations

import random

from services.sender.domain.cohort import MEMORY_SECONDS, Cohorts


def test_the_few_that_hung_of_a_burst_count_for_nothing() -> None:
    cohorts = Cohorts()
    for _ in range(380):
        cohorts.answered(100.1)
    assert sum(cohorts.failed(100.2) for _ in range(20)) == 0


def test_an_outage_counts_whole_though_some_calls_get_through() -> None:
    cohorts = Cohorts()
    for second in range(10):
        for _ in range(4):
            cohorts.answered(second + 0.5)
    counted = [sum(cohorts.failed(second + 0.1) for _ in range(76)) for second in range(10)]
    assert counted == [76] * 10, "also those that came before they were the most"


def test_lone_calls_count_at_once() -> None:
    cohorts = Cohorts()
    assert [cohorts.failed(second) for second in range(5)] == [1] * 5


def test_just_under_half_counts_for_nothing_and_half_counts() -> None:
    cohorts = Cohorts()
    for _ in range(10):
        cohorts.answered(1.0)
    assert sum(cohorts.failed(1.0) for _ in range(9)) == 0
    assert cohorts.failed(1.0) == 10


def test_quick_failures_mixed_with_answers_count_where_they_are_the_most() -> None:
    chance, counted, failed = random.Random(1), 0, 0  # noqa: S311  # a seed, so that it fails twice alike
    cohorts = Cohorts()
    for n in range(10_000):
        if chance.random() < 0.6:
            failed += 1
            counted += cohorts.failed(n / 1_000)
        else:
            cohorts.answered(n / 1_000)
    assert counted > 0.95 * failed


def test_memory_is_bounded() -> None:
    cohorts = Cohorts()
    for second in range(10_000):
        cohorts.answered(second)
    assert len(cohorts._seconds) <= MEMORY_SECONDS + 1
