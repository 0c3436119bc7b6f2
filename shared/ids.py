"""Identifiers: a prefix that names the kind and a UUIDv7 in base32hex, so that they sort by the time of their making.

`msg_06a8…`: prefix, underscore, 26 lower-case characters of `0-9a-v` (RFC 4648 base32hex keeps the byte order).
"""

from __future__ import annotations

import random
import re
import time
from datetime import UTC, datetime
from itertools import count
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
_SHIFTS: Final = tuple(range(120, 0, -10))
_COUNTED: Final = 256


def uuid7() -> int:
    """A UUIDv7 (RFC 9562 §5.7) as a number: milliseconds, then 12 bits of sub-millisecond time, then 62 random bits.

    Unique, not secret: an id opens nothing by itself.
    """
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    fraction = rest * 4096 // 1_000_000
    return (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | _random.getrandbits(62)


class _Series:
    """Ids one after the other: a UUIDv7, then those that its last eight bits count up to, for as long as its millisecond lasts
    (RFC 9562 §6.2, method 1). Thousands are made a second, and spelling one out takes five times as long as counting on."""

    def __init__(self) -> None:
        self._present = -1, "", count(_COUNTED)

    def next_digits(self) -> str:
        """26 of them. Safe from several threads: `next` is one step, and the rest is replaced as a whole."""
        millisecond, stem, numbers = self._present
        number = next(numbers)
        if number < _COUNTED and time.time_ns() // 1_000_000 == millisecond:
            return stem + _PAIRS[number << 2]
        value = uuid7()
        number, value128 = value % _COUNTED, value << 2  # 128 bits in 26 digits of five
        stem = "".join([_PAIRS[(value128 >> shift) & 1023] for shift in _SHIFTS])
        self._present = value >> 80, stem, count(number + 1)
        return stem + _PAIRS[number << 2]


_series: Final = _Series()


def new_id(prefix: str) -> str:
    """A fresh id of the kind `prefix` (`msg`, `num`, `evt`, …); sorts after those that this process made a quarter of a microsecond
    before, and others a millisecond before."""
    return f"{prefix}_{_series.next_digits()}"


def made_at(value: str) -> datetime:
    """When an id was made, to the millisecond. Raises ValueError for what is none."""
    digits = value.rpartition("_")[2]
    if re.fullmatch(_BODY, digits) is None:
        raise ValueError("not an id")
    return datetime.fromtimestamp((int(digits[:10], 32) >> 2) / 1_000, UTC)


def is_id(value: str, prefix: str) -> bool:
    """True where `value` has the shape of an id of that kind; says nothing about its existence."""
    return re.fullmatch(f"{re.escape(prefix)}_{_BODY}", value) is not None
