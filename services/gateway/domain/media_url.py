"""Addresses of files that open without a key, for five minutes: some clients of the Cloud API download without their token, so the
address itself must authorise, and soon expire.

The signature covers which file and until when; the key is derived from the platform's master key, for this alone.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Final

VALID_SECONDS: Final = 300
"""As the provider's own addresses (WhatsApp Cloud API, media, read 2026-11)."""
_EXPIRES: Final = re.compile("[0-9]{1,12}")


@dataclass(frozen=True, slots=True, repr=False)
class MediaUrls:
    """Makes and checks them; `base` is the gateway's public address. The first of the `keys` signs, any opens: while the master key
    is rotated, some replicas sign with the next one already."""

    base: str
    keys: tuple[bytes, ...]

    @classmethod
    def of(cls, base: str, *master_keys: str) -> MediaUrls:
        return cls(base.rstrip("/"), tuple(hashlib.sha256(f"media urls:{key}".encode()).digest() for key in master_keys))

    def sign(self, media_id: str, now: float) -> tuple[str, int]:
        """The file's address, and the Unix time until which it opens."""
        expires = int(now) + VALID_SECONDS
        signature = _signature(self.keys[0], media_id, str(expires))
        return f"{self.base}/api/media/{media_id}/signed?expires={expires}&signature={signature}", expires

    def is_valid(self, media_id: str, expires: str, signature: str, now: float) -> bool:
        """Whether this opens the file now; compared in constant time."""
        if not _EXPIRES.fullmatch(expires) or int(expires) <= now or int(expires) > now + 2 * VALID_SECONDS:
            return False
        given = signature.encode(errors="replace")
        return any(hmac.compare_digest(_signature(key, media_id, expires).encode(), given) for key in self.keys)


def _signature(key: bytes, media_id: str, expires: str) -> str:
    return hmac.new(key, f"{media_id}\n{expires}".encode(), hashlib.sha256).hexdigest()
