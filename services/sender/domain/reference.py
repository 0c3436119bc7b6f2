"""What is known of a message that another one names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple


class Found(NamedTuple):
    """`is_open`: its last attempt may still become sent. Without any attempt `is_known` is False."""

    wamid: str | None = None
    is_open: bool = False
    is_known: bool = False


def is_young(message_id: str, now: datetime, age: timedelta) -> bool:
    """True where the message was made less than `age` ago: its id says when (UUIDv7, RFC 9562 §5.7)."""
    milliseconds = int(message_id.partition("_")[2], 32) >> 82
    made_at = datetime.fromtimestamp(min(milliseconds / 1000, 32_503_680_000), UTC)
    return now - made_at < age
