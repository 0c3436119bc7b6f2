"""Who was seen within the last hours: open customer service windows, and the users a portfolio has reached."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

DAY_SECONDS: Final = 24 * 3600.0
"""A customer service window stays open, and a portfolio counts its users, for so long. Source: WhatsApp Cloud API, messaging
limits, and conversations, read 2026-09."""


class Recent:
    """Members by when they were last seen; those not seen for a day are forgotten, and the oldest of more than `most`.

    Times are seconds of one clock that never goes back.
    """

    __slots__ = ("_most", "_seen")

    def __init__(self, most: int) -> None:
        self._most = most
        self._seen: OrderedDict[str, float] = OrderedDict()

    def see(self, member: str, now: float) -> None:
        self._seen[member] = now
        self._seen.move_to_end(member)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)

    def has(self, member: str, now: float) -> bool:
        at = self._seen.get(member)
        return at is not None and now - at < DAY_SECONDS

    def count(self, now: float) -> int:
        """How many were seen within a day."""
        seen = self._seen
        while seen and now - seen[next(iter(seen))] >= DAY_SECONDS:
            seen.popitem(last=False)
        return len(seen)

    def clear(self) -> None:
        self._seen.clear()
