"""Webhook signatures: `X-Hub-Signature-256: sha256=<hex HMAC-SHA256(app secret, raw body)>`.

Source: WhatsApp Cloud API, webhooks, "Validate payloads", read 2026-11. The body is signed as sent; it must not be decoded first.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Hub-Signature-256"


def sign(secret: str, body: bytes) -> str:
    """The header's value for this body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def verify(secret: str, header: str | None, body: bytes) -> bool:
    """True where the header signs these very bytes; any other header, however broken, is just False."""
    if header is None:
        return False
    return hmac.compare_digest(sign(secret, body).encode(), header.encode("utf-8", "surrogateescape"))
