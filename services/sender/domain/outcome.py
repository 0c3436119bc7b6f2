"""How an attempt can end. Four ways, and every answer of the provider is one of them.

Sent      the provider took it                                  → message.sent
Refused   the provider will never take it                       → message.failed
NotSent   it surely did not leave; later may work               → message.deferred, or failed when attempts are used up
Unknown   it may have left; a report settles it, never a resend → message.unsettled
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MAX_FAILURES: Final = 10
"""Attempts that may fail on the message's own account: with the back-off below, some eight minutes on average to give up."""
BACKOFF_CAP_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Sent:
    wamid: str


@dataclass(frozen=True, slots=True)
class Refused:
    """`code` is stable (`provider.131026`), `detail` the provider's sentence, which names no person."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """`after` is the wait the provider asked for, in seconds, where it did. `counted` is False for what is not the message's fault:
    a throttle, a crash, a shutdown."""

    code: str
    after: float | None = None
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    code: str


Outcome = Sent | Refused | NotSent | Unknown


def backoff_seconds(failures: int, jitter: float) -> float:
    """Full jitter: uniform in 0..2^failures seconds, at most 15 minutes. `jitter` is a random number in 0..1."""
    return jitter * min(BACKOFF_CAP_SECONDS, 2.0**failures)


def settle(outcome: Outcome, failures: int) -> Outcome:
    """Give up on a message that has used its attempts; `failures` are those before this one."""
    if isinstance(outcome, NotSent) and outcome.counted and failures + 1 >= MAX_FAILURES:
        return Refused("attempts.exhausted", f"gave up after {failures + 1} failed attempts; the last: {outcome.code}")
    return outcome
