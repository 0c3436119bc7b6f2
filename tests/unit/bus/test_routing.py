"""Names, and how long a failed event waits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.bus import routing
from shared.bus.interface import RetryPolicy
from shared.errors import Retry

TOP = routing.RETRY_LADDER_SECONDS[-1]


@pytest.mark.parametrize(
    ("seconds", "rung"), [(0, 1), (0.2, 1), (1, 1), (1.1, 5), (5, 5), (29, 30), (31, 120), (600, 600), (3600, 600)]
)
def test_a_wait_is_rounded_up_to_a_rung(seconds: float, rung: int) -> None:
    assert routing.rung(seconds) == rung


@pytest.mark.parametrize(
    ("attempt", "after", "wait"),
    [(1, None, 1), (2, None, 5), (3, None, 30), (4, None, None), (1, 20, 30), (2, 1, 5), (4, 20, None), (99, None, None)],
)
def test_the_schedule_counts_attempts_and_after_is_the_shortest_wait(
    attempt: int, after: float | None, wait: int | None
) -> None:
    policy = RetryPolicy((1, 5, 30))
    assert routing.wait_before_next(policy, attempt, Retry("test.later", after)) == wait


def test_a_policy_without_schedule_is_one_attempt() -> None:
    assert routing.wait_before_next(RetryPolicy(()), 1, Retry("test.later")) is None


@given(st.lists(st.floats(0, 10_000), max_size=8), st.integers(1, 20), st.none() | st.floats(0, 10_000))
def test_uncounted_never_dies_and_no_wait_is_too_short(schedule: list[float], attempt: int, after: float | None) -> None:
    policy = RetryPolicy(tuple(schedule))
    uncounted = routing.wait_before_next(policy, attempt, Retry("test.away", after, counted=False))
    assert uncounted is not None
    counted = routing.wait_before_next(policy, attempt, Retry("test.later", after))
    assert (counted is None) == (attempt >= policy.attempts)
    for wait in (uncounted, counted):
        assert wait is None or wait >= min(after or 0, TOP)


def test_what_the_broker_moves_it_moves_at_least_once() -> None:
    for arguments in (routing.queue_arguments("a.b"), routing.retry_arguments(5)):
        assert arguments["x-dead-letter-strategy"] == "at-least-once"
        assert arguments["x-overflow"] == "reject-publish"
        assert arguments["x-queue-type"] == "quorum"
