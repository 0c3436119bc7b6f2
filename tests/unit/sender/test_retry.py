"""When a message is tried again, when it is given up, and how many may be tried again at once."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.sender.domain.outcome import Rejected, Retry, Scope
from services.sender.domain.retry import (
    BACKOFF_CAP_SECONDS,
    BUDGET_MEMORY_SECONDS,
    BUDGET_PER_SECOND,
    BUDGET_SHARE,
    RetryBudget,
    RetryPolicy,
    backoff_seconds,
    give_up,
    wait_seconds,
)
from shared.events.values import Tier

POLICY = RetryPolicy()
FAULT = Retry("provider.2")
THROTTLE = Retry("provider.130429", counted=False, scope=Scope.NUMBER)
NO_CONNECTION = Retry("provider.unreachable", counted=False, sick=True)
DRAINING = Retry("sender.draining", counted=False)


@given(st.integers(0, 100_000), st.floats(0, 1))
def test_the_back_off_lies_between_nothing_and_the_cap(failures: int, jitter: float) -> None:
    wait = backoff_seconds(failures, jitter)
    assert 0 <= wait <= min(BACKOFF_CAP_SECONDS, 2.0 ** min(failures, 60))


@given(st.integers(0, 50), st.floats(0, 1))
def test_the_back_off_grows_with_the_failures(failures: int, jitter: float) -> None:
    assert backoff_seconds(failures, jitter) <= backoff_seconds(failures + 1, jitter)


def test_the_jitter_is_full() -> None:
    assert backoff_seconds(4, 0.0) == 0
    assert backoff_seconds(4, 1.0) == 16


@given(st.integers(0, 20), st.floats(0, 1), st.booleans(), st.booleans())
def test_what_the_provider_asked_for_is_kept(failures: int, jitter: float, counted: bool, sick: bool) -> None:
    assert wait_seconds(Retry("c", after=77.0, counted=counted, sick=sick), failures, jitter) == 77.0
    assert wait_seconds(Retry("c", after=0.0, counted=counted, sick=sick), failures, jitter) == 0.0


def test_who_waits_where_no_time_was_named() -> None:
    assert wait_seconds(FAULT, 2, 1.0) == 8
    assert wait_seconds(NO_CONNECTION, 0, 1.0) == 2, "the provider is ill: not at once again"
    assert wait_seconds(DRAINING, 5, 1.0) == 0


@pytest.mark.parametrize("failures", range(POLICY.attempts + 3))
def test_a_message_is_given_up_at_its_last_counted_failure(failures: int) -> None:
    ended = give_up(FAULT, failures, POLICY, age_seconds=60, wait=1)
    if failures + 1 < POLICY.attempts:
        assert ended is None
    else:
        assert ended == Rejected("attempts.exhausted", f"gave up after {failures + 1} failed attempts; the last: provider.2")


def test_the_horizon_ends_it_where_the_next_try_would_come_after_it() -> None:
    assert give_up(FAULT, 1, POLICY, age_seconds=86_000, wait=400) is None
    ended = give_up(FAULT, 1, POLICY, age_seconds=86_000, wait=401)
    assert ended == Rejected("horizon.exceeded", "gave up after 2 failed attempts in 24 hours; the last: provider.2")


def test_a_day_in_a_backlog_does_not_end_a_message_at_its_first_failure() -> None:
    assert give_up(FAULT, 0, POLICY, age_seconds=1_000_000, wait=1) is None
    assert give_up(FAULT, 0, RetryPolicy(attempts=1), age_seconds=0, wait=1) is not None


@pytest.mark.parametrize("outcome", [THROTTLE, NO_CONNECTION, DRAINING], ids=lambda outcome: outcome.code)
def test_what_is_not_the_messages_fault_never_ends_it(outcome: Retry) -> None:
    assert give_up(outcome, 1_000, POLICY, age_seconds=10_000_000, wait=900) is None


def test_a_policy_is_obeyed() -> None:
    policy = RetryPolicy(attempts=3, horizon_seconds=600)
    assert give_up(FAULT, 1, policy, age_seconds=10, wait=5) is None
    assert give_up(FAULT, 2, policy, age_seconds=10, wait=5) is not None
    assert give_up(FAULT, 1, policy, age_seconds=599, wait=5) is not None


def retries(budget: RetryBudget, count: int, now: float, tier: Tier = Tier.NORMAL) -> list[float]:
    """The moments to which so many retries at once are put off."""
    return [now + budget.stretch(tier, now) for _ in range(count)]


def test_three_retries_a_second_pass_without_a_single_first_attempt() -> None:
    moments = retries(RetryBudget(), 300, 0.0)
    kept = round(BUDGET_PER_SECOND * BUDGET_MEMORY_SECONDS)
    assert moments[:kept] == [0.0] * kept, "what was not used lately"
    assert moments[-1] == pytest.approx((300 - kept) / BUDGET_PER_SECOND, rel=0.02)


def test_a_tenth_of_the_first_attempts_may_be_retries() -> None:
    budget, per_second, seconds = RetryBudget(), 100, 600
    moments: list[float] = []
    for n in range(seconds * 10):
        budget.first(Tier.NORMAL, n / 10, per_second // 10)
        moments += retries(budget, per_second // 50, n / 10)
    within = sum(moment < seconds for moment in moments)
    allowed = BUDGET_SHARE * per_second * seconds
    assert within <= allowed + BUDGET_SHARE * per_second * BUDGET_MEMORY_SECONDS
    assert within >= 0.9 * allowed


def test_each_tier_has_its_own() -> None:
    budget = RetryBudget()
    retries(budget, 1_000, 0.0, Tier.LOW)
    assert budget.stretch(Tier.LOW, 0.0) > 60
    assert budget.stretch(Tier.CRITICAL, 0.0) == 0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(0, 200), st.integers(0, 20)), max_size=40))
def test_the_floor_holds_whatever_happened_before(plan: list[tuple[float, int, int]]) -> None:
    budget, now, asked = RetryBudget(), 0.0, 0
    for pause, firsts, wanted in plan:
        now += pause
        budget.first(Tier.HIGH, now, firsts)
        for moment in retries(budget, wanted, now, Tier.HIGH):
            asked += 1
            assert now <= moment <= now + asked / BUDGET_PER_SECOND
