"""What the gateway's kept keys were at first, by name: derived from the master key, each for one purpose."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

INBOUND: Final = "inbound"
"""Names users in Redis, whose rate is counted."""
ERASED: Final = "erased addresses"
"""Of the digests that stay of people who were erased."""


def first_keys(master_key: str) -> dict[str, bytes]:
    """For `kept_keys`."""
    return {
        INBOUND: hashlib.sha256(f"inbound:{master_key}".encode()).digest(),
        ERASED: hmac.digest(master_key.encode(), ERASED.encode(), "sha256"),
    }
