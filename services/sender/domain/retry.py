"""When a message is tried again, and when it is given up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from services.sender.domain.outcome import Rejected, Retry
from shared.events.values import Tier

BACKOFF_CAP_SECONDS: Final = 900.0
BUDGET_SHARE: Final = 0.1
BUDGET_PER_SECOND: Final = 3.0
BUDGET_MEMORY_SECONDS: Final = 10.0
"""Over this time the rate of first attempts is averaged, and so much of an unused budget is kept."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """`attempts` may fail on the message's own account: with the back-off below, 10 take some eight minutes on average to give up.
    None but the second is begun later than `horizon_seconds` after the message was first due."""

    attempts: int = 10
    horizon_seconds: float = 86_400.0


def backoff_seconds(failures: int, jitter: float) -> float:
    """Full jitter: uniform in 0..2^failures seconds, at most 15 minutes. `jitter` is a random number in 0..1."""
    return jitter * min(BACKOFF_CAP_SECONDS, 2.0 ** min(failures, 10))


def wait_seconds(outcome: Retry, failures: int, jitter: float) -> float:
    """How long a message waits that was not taken; `failures` are the counted ones before this one.

    What the provider asked for is kept to the second. Where it named no time: back-off. What is neither the message's fault nor the
    provider's, such as a process that is about to stop, does not wait.
    """
    if outcome.after is not None:
        return outcome.after
    return backoff_seconds(failures + 1, jitter) if outcome.counted or outcome.sick else 0.0


def give_up(outcome: Retry, failures: int, policy: RetryPolicy, *, age_seconds: float, wait: float) -> Rejected | None:
    """How the message ends that would wait for `wait` seconds, or None: it is tried again.

    Only what counts against the message ends it: an outage or a throttle, however long, fails none; `expires_at` is the tenant's
    word on that. `age_seconds` runs from when it was first due. Most of it may have passed in a backlog, so nothing is given up for
    its age at its first failure.
    """
    if not outcome.counted:
        return None
    tries = failures + 1
    if tries >= policy.attempts:
        return Rejected("attempts.exhausted", f"gave up after {tries} failed attempts; the last: {outcome.code}")
    if tries > 1 and age_seconds + wait > policy.horizon_seconds:
        hours = policy.horizon_seconds / 3_600
        return Rejected(
            "horizon.exceeded", f"gave up after {tries} failed attempts in {hours:g} hours; the last: {outcome.code}"
        )
    return None


def longer_each_time(seconds: float, attempt: int, longest: float) -> float:
    """How long a message waits, at its `attempt`-th attempt, for something beside it that takes about so many seconds: each look
    costs a slot of its number, so a wait that turns out longer is looked at less and less often."""
    return min(longest, seconds * 1.5 ** min(attempt - 1, 20))


class RetryBudget:
    """Keeps retries to a tenth of first attempts, or 3 a second where that is more, for each tier: else a provider that has just
    come back is met by everything that failed meanwhile. What exceeds the budget waits longer; nothing is dropped.

    In one process; `now` is in seconds of any clock that does not go back.
    """

    def __init__(self) -> None:
        self._tiers = {tier: _Budget() for tier in Tier}

    def first(self, tier: Tier, now: float, count: int = 1) -> None:
        """So many messages were tried for the first time."""
        self._tiers[tier].earn(count, now)

    def stretch(self, tier: Tier, now: float) -> float:
        """Take a retry's part. The seconds by which it must wait longer than its back-off says."""
        return self._tiers[tier].spend(now)


class _Budget:
    """A bucket of tokens that may fall below empty: what is owed then is paid by waiting, at the present rate."""

    def __init__(self) -> None:
        self._firsts = 0.0
        self._tokens = math.inf
        self._at = -math.inf

    def earn(self, count: int, now: float) -> None:
        self._refill(now)
        self._firsts += count

    def spend(self, now: float) -> float:
        per_second = self._refill(now)
        self._tokens -= 1
        return max(0.0, -self._tokens / per_second)

    def _refill(self, now: float) -> float:
        """Up to `now`, and the present rate: firsts fade, so that their sum stands for the last seconds'."""
        elapsed, self._at = now - self._at, now
        self._firsts *= math.exp(-elapsed / BUDGET_MEMORY_SECONDS)
        per_second = max(BUDGET_PER_SECOND, BUDGET_SHARE * self._firsts / BUDGET_MEMORY_SECONDS)
        self._tokens = min(per_second * BUDGET_MEMORY_SECONDS, self._tokens + per_second * elapsed)
        return per_second
