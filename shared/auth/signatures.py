"""Webhook signatures: `X-Hub-Signature-256: sha256=<hex HMAC-SHA256(app secret, raw body)>`.

Source: WhatsApp Cloud API, webhooks, "Validate payloads", read 2026-11. The body is signed as sent; it must not be decoded first.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Final

HEADER: Final = "X-Hub-Signature-256"
_FORM: Final = re.compile("sha256=[0-9a-f]{64}")


def sign(secret: str, body: bytes) -> str:
    """The header's value for this body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def is_signature(header: str | None) -> bool:
    """True where the header could sign something: what else comes need not even be read."""
    return header is not None and _FORM.fullmatch(header) is not None


def verify(secret: str, header: str | None, body: bytes) -> bool:
    """True where the header signs these very bytes; any other header, however broken, is just False."""
    if header is None:
        return False
    return hmac.compare_digest(sign(secret, body).encode(), header.encode("utf-8", "surrogateescape"))
