"""The window: how many messages of a number may be between release and outcome, and how much of it each tier may fill."""

from __future__ import annotations

from typing import Final

from shared.events.values import Tier

WINDOW_SECONDS: Final = 1
"""What is released and not yet sent can no longer be canceled or overtaken, so no more than a second's worth. The sender grants
departures further ahead than that: whatever is in the window has its moment at once, and none comes back for pace."""
SMALLEST_WINDOW: Final = 4
"""A slow number still needs enough under way to cover the way through the bus; at one per second they leave within the grant."""
RESERVED_PERCENT: Final = (0, 10, 20, 30)
"""By tier: how much of the window it leaves to those more urgent (trunk reservation, as telephone networks keep lines free for
emergency calls). A low message needs its outcome within 0.7 s for its number to keep its rate."""


def window_size(messages_per_second: int) -> int:
    """Messages in flight at most, for a number of that rate."""
    return max(SMALLEST_WINDOW, messages_per_second * WINDOW_SECONDS)


def places(window: int, tier: Tier) -> int:
    """A message of the tier is released while fewer than so many of its number, of whatever tier, are in flight.

    At least one, or it would never leave; and all but the critical leave at least one free, or a critical one would wait for an
    outcome. So of a window of four the others may fill three, enough for the full rate of a slow number. `claim_due` says the same
    in SQL.
    """
    percent = RESERVED_PERCENT[tier]
    return max(1, window - max(min(percent, 1), window * percent // 100))
