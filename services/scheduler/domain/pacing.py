"""A run's own pace: tokens that grow with the time it is running, one for each message.

The pace is that of asking for messages; what was asked for and cannot leave, because its number stands still,
leaves at once when it can. `dispatch.cap` keeps that at ten seconds' worth, or ten messages where that is more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from services.scheduler.domain.run import Pacing

BURST_SECONDS: Final = 2.0
"""What was not used is kept for so long: a round that comes late loses nothing, and no minute has more than two seconds' worth and
one above its limit."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """`tokens` as of a moment at which the run had been running for so many `seconds`. A run begins with one token."""

    tokens: float = 1.0
    seconds: float = 0.0


def rate(pacing: Pacing, seconds: float) -> float:
    """Messages per second, so long after the start."""
    full = pacing.messages_per_minute / 60
    if pacing.ramp_from is None or not pacing.ramp_minutes:
        return full
    start, ramp = pacing.ramp_from / 60, pacing.ramp_minutes * 60
    return full if seconds >= ramp else start + (full - start) * seconds / ramp


def grow(pacing: Pacing, allowance: Allowance, elapsed: float) -> Allowance:
    """After `elapsed` more seconds of running."""
    elapsed = max(0.0, elapsed)
    end = allowance.seconds + elapsed
    most = 1.0 + BURST_SECONDS * rate(pacing, end)  # one that is not whole yet, and what came since
    return Allowance(min(most, allowance.tokens + _area(pacing, allowance.seconds, end)), end)


def wait(pacing: Pacing, allowance: Allowance) -> float:
    """Seconds until there is a token, if nothing is taken meanwhile; by the present rate, so a ramp has it a little sooner."""
    return max(0.0, 1.0 - allowance.tokens) / rate(pacing, allowance.seconds)


def _area(pacing: Pacing, start: float, end: float) -> float:
    """How many messages fall into that part of the running time."""
    ramp = (pacing.ramp_minutes or 0) * 60.0 if pacing.ramp_from is not None else 0.0
    turn = min(max(start, ramp), end)
    rising = (turn - start) * (rate(pacing, start) + rate(pacing, turn)) / 2
    return rising + (end - turn) * rate(pacing, end)
