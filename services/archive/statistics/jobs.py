"""The loops that keep the statistics."""

from __future__ import annotations

from typing import Final

from services.archive.cache import Changes
from services.archive.statistics.counting import Delays, count_days, count_words, follower
from shared.db.pool import Pool
from shared.every import Every

FOLLOW_SECONDS: Final = 10.0
SHORTEST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 5.0
"""What was hastened waits no longer than this."""


def jobs(pool: Pool, delays: Delays, changes: Changes) -> list[Every]:
    """Mark what was stored, count the days that are due, count the words of their months. More replicas take turns."""
    return [
        Every("archive.follow_statistics", min(FOLLOW_SECONDS, _pause(delays.days)), follower(pool).step),
        Every("archive.count_days", _pause(delays.days), lambda: count_days(pool, delays, changes)),
        Every("archive.count_words", _pause(delays.words), lambda: count_words(pool, delays, changes)),
    ]


def _pause(delay_seconds: float) -> float:
    """How long to wait before looking again for what is due after a delay."""
    return min(max(delay_seconds / 4, SHORTEST_SECONDS), LONGEST_SECONDS)
