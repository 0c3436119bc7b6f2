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
    """Tell the limiter, in one round trip. Told twice it counts twice, which costs a moment of the rate and nothing else."""
    numbers = await directory.of({event.number_id for event in received})
    used: Counter[Line] = Counter()
    windows: dict[str, Window] = {}
    for event in received:
        if (number := numbers.get(event.number_id)) is None:
            continue
        age = max(0.0, (now - event.received_at).total_seconds())
        if (now - event.occurred_at).total_seconds() < FRESH_SECONDS:
            used[number.limits.line] += 1
        window = number.limits.window(event.sender, DAY_SECONDS - age) if age < DAY_SECONDS else None
        if window is not None and (window.name not in windows or windows[window.name].seconds < window.seconds):
            windows[window.name] = window
    if used or windows:
        await limiter.debit(used, windows.values())
