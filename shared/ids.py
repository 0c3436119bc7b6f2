"""Identifiers: a prefix that names the kind and a UUIDv7 in base32hex, so that they sort by the time of their making.

`msg_06a8…`: prefix, underscore, 26 lower-case characters of `0-9a-v` (RFC 4648 base32hex keeps the byte order).
"""

from __future__ import annotations

import base64
import os
import re
import time
from typing import Final, NewType

TenantId = NewType("TenantId", str)
MessageId = NewType("MessageId", str)
NumberId = NewType("NumberId", str)
EventId = NewType("EventId", str)
ConversationId = NewType("ConversationId", str)
EntryId = NewType("EntryId", str)

_BODY: Final = "[0-9a-v]{26}"
MESSAGE_ID_PATTERN: Final = f"^msg_{_BODY}$"


def uuid7_bytes() -> bytes:
    """16 bytes of a UUIDv7 (RFC 9562 §5.7): milliseconds, then 12 bits of sub-millisecond time, then 62 random bits."""
    nanoseconds = time.time_ns()
    milliseconds, rest = divmod(nanoseconds, 1_000_000)
    fraction = rest * 4096 // 1_000_000
    random = int.from_bytes(os.urandom(8), "big") & 0x3FFF_FFFF_FFFF_FFFF
    value = (milliseconds << 80) | (0x7 << 76) | (fraction << 64) | (0b10 << 62) | random
    return value.to_bytes(16, "big")


def new_id(prefix: str) -> str:
    """A fresh id of the kind `prefix` (`msg`, `num`, `evt`, …), greater than those made a moment before by this process."""
    return f"{prefix}_{base64.b32hexencode(uuid7_bytes()).decode('ascii').rstrip('=').lower()}"


def is_id(value: str, prefix: str) -> bool:
    """True where `value` has the shape of an id of that kind; says nothing about its existence."""
    return re.fullmatch(f"{re.escape(prefix)}_{_BODY}", value) is not None
