r"""Webhook bytes as Meta writes and signs them.

Meta escapes `/` as `\/`, `@` as `\u0040` and all that is not ASCII as lower-case `\uXXXX`, and signs what it sends.
Source: recorded webhooks; Meta, webhooks, validate payloads, read 2026-09.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from json.encoder import encode_basestring_ascii
from typing import Any, Final

import orjson

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def escape(json: str) -> bytes:
    """JSON text in Meta's style. `/`, `@` and non-ASCII stand in strings only, so the whole text is replaced at once."""
    if not json.isascii():
        json = _NOT_ASCII.sub(lambda found: encode_basestring_ascii(found[0])[1:-1], json)
    return json.replace("/", "\\/").replace("@", "\\u0040").encode("ascii")


def written(value: Any) -> str:
    """A value as JSON text in Meta's style."""
    return escape(orjson.dumps(value).decode()).decode("ascii")


def sign(app_secret: bytes, body: bytes) -> str:
    """Value of `X-Hub-Signature-256`."""
    return "sha256=" + hmac.new(app_secret, body, hashlib.sha256).hexdigest()
