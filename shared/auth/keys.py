"""API keys: `chq_live_<id>_<secret><checksum>`, `chq_test_…`, and operators' `chq_admin_…`. Only the id and a SHA-256 of the whole
are ever stored.

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

_SHAPE: Final = re.compile(r"chq_(live|test|admin)_([0-9a-v]{12})_([0-9a-v]{40})([0-9a-v]{6})")
_ADMIN: Final = "admin"


@dataclass(frozen=True, slots=True, repr=False)
class ApiKey:
    """A key whose checksum holds. `digest` is what the store keeps; the text itself is gone."""

    key_id: str
    live: bool
    digest: bytes


@dataclass(frozen=True, slots=True, repr=False)
class AdminKey:
    """An operator's key whose checksum holds: it opens no tenant's door, and no tenant's key opens an operator's."""

    key_id: str
    digest: bytes


def new_key(*, live: bool) -> str:
    """A fresh key's text; shown once."""
    return _fresh("live" if live else "test")


def new_admin_key() -> str:
    """A fresh operator's key; shown once."""
    return _fresh(_ADMIN)


def parse_key(text: str) -> ApiKey | None:
    """The tenant's key in `text`, or None where it cannot be one of ours. Says nothing about whether it is known."""
    match = _match(text)
    return None if match is None or match[1] == _ADMIN else ApiKey(match[2], match[1] == "live", _digest(text))


def parse_admin_key(text: str) -> AdminKey | None:
    """The operator's key in `text`, or None where it cannot be one. Says nothing about whether it is known."""
    match = _match(text)
    return AdminKey(match[2], _digest(text)) if match is not None and match[1] == _ADMIN else None


def matches(key: ApiKey | AdminKey, stored_digest: bytes) -> bool:
    """Constant-time comparison with what was stored."""
    return hmac.compare_digest(key.digest, stored_digest)


def _fresh(kind: str) -> str:
    body = f"chq_{kind}_{_random(12)}_{_random(40)}"
    return body + _checksum(body)


def _match(text: str) -> re.Match[str] | None:
    match = _SHAPE.fullmatch(text)
    return match if match is not None and hmac.compare_digest(_checksum(text[:-6]), match[4]) else None


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _random(characters: int) -> str:
    return base64.b32hexencode(os.urandom((characters * 5 + 7) // 8)).decode().lower()[:characters]


def _checksum(text: str) -> str:
    return base64.b32hexencode(zlib.crc32(text.encode()).to_bytes(4, "big")).decode().lower()[:6]
