"""The window: how many messages of a number may be between release and outcome."""

from __future__ import annotations

from typing import Final

WINDOW_SECONDS: Final = 2
"""What is released and not yet sent can no longer be canceled or overtaken, so no more than two seconds' worth."""
SMALLEST_WINDOW: Final = 32
"""A slow number still needs enough under way to cover the way through the bus."""


def window_size(messages_per_second: int) -> int:
    """Messages in flight at most, for a number of that rate."""
    return max(SMALLEST_WINDOW, messages_per_second * WINDOW_SECONDS)
