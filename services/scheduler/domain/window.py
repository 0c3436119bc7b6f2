"""The window: how many messages of a number may be between release and outcome."""

from __future__ import annotations

from typing import Final

WINDOW_SECONDS: Final = 1
"""What is released and not yet sent can no longer be canceled or overtaken, so no more than a second's worth. The sender grants
departures further ahead than that: whatever is in the window has its moment at once, and none comes back for pace."""
SMALLEST_WINDOW: Final = 4
"""A slow number still needs enough under way to cover the way through the bus; at one per second they leave within the grant."""


def window_size(messages_per_second: int) -> int:
    """Messages in flight at most, for a number of that rate."""
    return max(SMALLEST_WINDOW, messages_per_second * WINDOW_SECONDS)
