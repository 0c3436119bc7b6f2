"""Inbound messages, as far as sending is concerned: they use the number's rate and open customer service windows.

Facts: WhatsApp Cloud API, throughput ("inbound and outbound together"), customer service windows, read 2026-11.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from services.sender.numbers import Numbers
from shared.events.catalogue import MessageReceived
from shared.limits.limiter import DAY_SECONDS, Limiter, Line, Window

FRESH_SECONDS: Final = 5.0
"""Of messages that came longer ago, and are told late, the rate is no longer touched."""


async def count(directory: Numbers, limiter: Limiter, received: Sequence[MessageReceived], now: datetime) -> None:
    """Tell the limiter, in one round trip. Told twice it counts twice, which costs a moment of the rate and nothing else. What was
    written before the number was connected is no use of it."""
    received = [event for event in received if not event.is_history]
    numbers = await directory.of({event.number_id for event in received})
    used: Counter[Line] = Counter()
    windows: dict[str, Window] = {}
    for event in received:
        if (number := numbers.get(event.number_id)) is None:
            continue
        age = max(0.0, (now - event.received_at).total_seconds())
        if (now - event.occurred_at).total_seconds() < FRESH_SECONDS:
            used[number.limits.line] += 1
        for address in _answered_at(event) if age < DAY_SECONDS else ():
            window = number.limits.window(address, DAY_SECONDS - age)
            if window is not None and (window.name not in windows or windows[window.name].seconds < window.seconds):
                windows[window.name] = window
    if used or windows:
        await limiter.debit(used, windows.values())


def _answered_at(event: MessageReceived) -> tuple[str, ...]:
    """The addresses that an answer may have; a group's message opens the group's window (groups, read 2026-11)."""
    if event.group_id is not None:
        return (f"group:{event.group_id}",)
    return (event.sender,) if event.user_id in (None, event.sender) else (event.sender, event.user_id)
