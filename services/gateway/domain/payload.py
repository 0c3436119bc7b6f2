"""A webhook's bytes as JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parsed(body: bytes) -> Any:
    """The payload's JSON, None where it is none. Half a surrogate pair, which users can type, is let through."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass  # the fast parser refuses what the tolerant one takes
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
