"""JSON as the provider writes it: `/`, `@` and all non-ASCII escaped, hexadecimal digits in lower case.

Clients that hash what they received, and those that escape it again before they do, then come to the same signature.
Source: WhatsApp Cloud API, recorded answers and webhooks, read 2026-11.
"""

from __future__ import annotations

import json
from typing import Any, Final

_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


def escaped_json(document: Any) -> bytes:
    """The document in that form, ASCII only."""
    return _ENCODER.encode(document).replace("/", "\\/").replace("@", "\\u0040").encode("ascii")
