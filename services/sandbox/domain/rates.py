"""Meta's two send limits: messages a second per number, and messages per pair of number and user.

Each bucket is one float, the time at which it will be full again (generic cell rate algorithm); the strict form of a number's
limit remembers the last second instead. Times are monotonic seconds.
Source: WhatsApp Cloud API, throughput and pair rate limits, read 2026-09.
"""

from __future__ import annotations

from array import array
from typing import Final

PAIR_CAPACITY: Final = 45
PAIR_REFILL_SECONDS: Final = 6.0

# Twelve sums of 1/80 must not exceed 12/80 by a rounding error.
_SLACK_SECONDS: Final = 1e-9


class NumberRate:
    """A number's messages per second, both directions counted; after a rest, one second's worth may come at once."""

    __slots__ = ("_full_at", "_step", "messages_per_second")

    def __init__(self, messages_per_second: int) -> None:
        self.messages_per_second = messages_per_second
        self._step = 1.0 / messages_per_second
        self._full_at = 0.0

    def has_room(self, now: float) -> bool:
        return self._full_at - now + self._step <= 1.0 + _SLACK_SECONDS

    def count(self, now: float) -> None:
        """Take one message. What comes in beyond the limit cannot be refused: it empties the bucket, but makes no debt."""
        self._full_at = min(max(self._full_at, now) + self._step, now + 1.0)


class WindowRate:
    """The same limit without a burst: no more than `messages_per_second` in any rolling second, whatever came before."""

    __slots__ = ("_at", "_next", "messages_per_second")

    def __init__(self, messages_per_second: int) -> None:
        self.messages_per_second = messages_per_second
        self._at = array("d", [float("-inf")]) * messages_per_second
        """When each of the last messages came; `_next` is the oldest."""
        self._next = 0

    def has_room(self, now: float) -> bool:
        return now - self._at[self._next] >= 1.0

    def count(self, now: float) -> None:
        self._at[self._next] = now
        self._next = (self._next + 1) % self.messages_per_second


class PairRates:
    """Buckets of one number's recipients. Those that are full again are forgotten, so memory follows the live pairs."""

    __slots__ = ("_full_at", "_sweep_at")

    _SWEEP_AT_LEAST: Final = 4096

    def __init__(self) -> None:
        self._full_at: dict[str, float] = {}
        self._sweep_at = self._SWEEP_AT_LEAST

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, recipient: str, now: float) -> bool:
        """Take one message to `recipient`; False where the pair must rest, and then nothing is taken."""
        full_at = max(self._full_at.get(recipient, 0.0), now) + PAIR_REFILL_SECONDS
        if full_at - now > PAIR_CAPACITY * PAIR_REFILL_SECONDS + _SLACK_SECONDS:
            return False
        self._full_at[recipient] = full_at
        if len(self._full_at) > self._sweep_at:
            self._full_at = {pair: at for pair, at in self._full_at.items() if at > now}
            self._sweep_at = max(self._SWEEP_AT_LEAST, 2 * len(self._full_at))
        return True
