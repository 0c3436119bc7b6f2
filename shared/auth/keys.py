"""API keys: `chq_live_<id>_<secret><checksum>`, `chq_test_…`. Only the id and a SHA-256 of the whole are ever stored.

id: 12 characters of base32hex; secret: 40 (200 bits, so a plain hash is enough); checksum: 6 (CRC-32 of what stands before), which
turns most typing errors away without a look at the database.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import zlib
from dataclasses import dataclass
from typing import Final

_SHAPE: Final = re.compile(r"chq_(live|test)_([0-9a-v]{12})_([0-9a-v]{40})([0-9a-v]{6})")


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """A key whose checksum holds. `digest` is what the store keeps; the text itself is gone."""

    key_id: str
    live: bool
    digest: bytes


def new_key(*, live: bool) -> str:
    """A fresh key's text; shown once."""
    body = f"chq_{'live' if live else 'test'}_{_random(12)}_{_random(40)}"
    return body + _checksum(body)


def parse_key(text: str) -> ApiKey | None:
    """The key in `text`, or None where it cannot be one of ours. Says nothing about whether it is known."""
    match = _SHAPE.fullmatch(text)
    if match is None or not hmac.compare_digest(_checksum(text[:-6]), match[4]):
        return None
    return ApiKey(match[2], match[1] == "live", hashlib.sha256(text.encode()).digest())


def matches(key: ApiKey, stored_digest: bytes) -> bool:
    """Constant-time comparison with what was stored."""
    return hmac.compare_digest(key.digest, stored_digest)


def _random(characters: int) -> str:
    return base64.b32hexencode(os.urandom((characters * 5 + 7) // 8)).decode().lower()[:characters]


def _checksum(text: str) -> str:
    return base64.b32hexencode(zlib.crc32(text.encode()).to_bytes(4, "big")).decode().lower()[:6]
