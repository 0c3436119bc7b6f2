"""Identifiers: a prefix that names the kind and a UUIDv7 in base32hex, so that they sort by the time of their making.

`msg_06a8…`: prefix, underscore, 26 lower-case characters of `0-9a-v` (RFC 4648 base32hex keeps the byte order).
"""

from __future__ import annotations

import random
import re
import time
from typing import Final, NewType

TenantId = NewType("TenantId", str)
MessageId = NewType("MessageId", str)
NumberId = NewType("NumberId", str)
EventId = NewType("EventId", str)
EntryId = NewType("EntryId", str)

_BODY: Final = "[0-9a-v]{26}"
MESSAGE_ID_PATTERN: Final = f"^msg_{_BODY}$"


_DIGITS: Final = "0123456789abcdefghijklmnopqrstuv"
_PAIRS: Final = tuple(high + low for high in _DIGITS for low in _DIGITS)
"""Ten bits at a time: with the standard library's encoder an id costs ten times as much, and thousands are made a second."""
_random: Final = random.Random()  # noqa: S311  # ids are unique, not secret; our own, so that nobody else's seed repeats them
_SHIFTS: Final = tuple(range(120, -1, -10))


def uuid7() -> int:
    """A UUIDv7 (RFC 9562 §5.7) as a number: milliseconds, then 12 bits of sub-millisecond time, then 62 random bits.

    Unique, not secret: an id opens nothing by itself.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | _random.getrandbits(62)


def new_id(prefix: str) -> str:
    """A fresh id of the kind `prefix` (`msg`, `num`, `evt`, …); sorts after those made a quarter of a microsecond before."""
    value = uuid7() << 2  # 128 bits in 26 digits of five
    pairs = _PAIRS
    return f"{prefix}_{''.join([pairs[(value >> shift) & 1023] for shift in _SHIFTS])}"


def is_id(value: str, prefix: str) -> bool:
    """True where `value` has the shape of an id of that kind; says nothing about its existence."""
    return re.fullmatch(f"{re.escape(prefix)}_{_BODY}", value) is not None
