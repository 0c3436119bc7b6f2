"""The last requests, as a test asks for them: what was called, with what, and the status that it met. Never a token."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable
from itertools import islice
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson

from services.sandbox.answers import Answer, Prompt, Reply
from services.sandbox.request import Request
from shared.clock import Clock

MAX_KEPT_BODY: Final = 16 * 1024
MAX_DEPTH: Final = 30

_SECRETS: Final = frozenset(
    {
        "access_token",
        "appsecret_proof",
        "client_secret",
        "code",
        "hash",
        "hub.verify_token",
        "input_token",
        "pin",
        "verify_token",
    }
)
_HIDDEN: Final = "…"


_Entry = tuple[str, str, str, bytes, float, bytes | list[bytes]]
"""Method, path, query, body, monotonic seconds, and the status: three digits, none without an answer, or a list it comes into."""


class Journal:
    """At most `limit` requests; each has a number of its own, which goes on after those that were forgotten.

    Headers are not kept: they hold the token. Adding is on every send's way, so it makes a tuple and nothing else.
    """

    def __init__(self, clock: Clock, limit: int) -> None:
        self._clock = clock
        self._monotonic = clock.monotonic
        self._entries: deque[_Entry] = deque(maxlen=limit)
        self._count = 0

    def add(self, request: Request, answer: Answer) -> Answer:
        """Note the request. The answer to give comes back: one that is awaited is noted once it is there."""
        body = request.body
        if len(body) > MAX_KEPT_BODY:
            body = b""
        status: bytes | list[bytes]
        if type(answer) is bytes:
            status = answer[9:12]
        elif isinstance(answer, bytes | Reply):
            status = _status(answer)
        else:
            status = [b""]
            answer = _awaited(answer, status)
        self._count += 1
        self._entries.append((request.method, request.path, request.query_string, body, self._monotonic(), status))
        return answer

    def clear(self) -> None:
        self._entries.clear()

    def page(self, after: int, limit: int, method: str | None, path: str | None) -> tuple[list[dict[str, Any]], int | None]:
        """Up to `limit` requests behind number `after`, the oldest first, and the number to go on from (None at the end)."""
        first = self._count - len(self._entries) + 1
        found = (
            (number, entry)
            for number, entry in enumerate(self._entries, first)
            if number > after and method in (None, entry[0]) and (path is None or path in entry[1])
        )
        entries = list(islice(found, limit + 1))
        began = self._clock.now().timestamp() - self._clock.monotonic()
        shown = [_shown(number, entry, began) for number, entry in entries[:limit]]
        return shown, entries[limit - 1][0] if len(entries) > limit else None


def _shown(number: int, entry: _Entry, began: float) -> dict[str, Any]:
    method, path, query, body, at, status = entry
    if isinstance(status, list):
        (status,) = status
    return {
        "id": number,
        "at": began + at,
        "method": method,
        "path": path,
        "query": _without_secrets(dict(parse_qsl(query, keep_blank_values=True)), MAX_DEPTH),
        "status": int(status) if status else None,
        "body": _read(body),
    }


async def _awaited(answer: Awaitable[Prompt], status: list[bytes]) -> Prompt:
    prompt = await answer
    status[0] = _status(prompt)
    return prompt


def _status(prompt: Prompt) -> bytes:
    """Three digits, or nothing where no answer comes."""
    return (prompt if isinstance(prompt, bytes) else prompt.wire)[9:12]


def _read(body: bytes) -> Any:
    """What JSON says; None for anything else."""
    if not body:
        return None
    try:
        return _without_secrets(orjson.loads(body), MAX_DEPTH)
    except orjson.JSONDecodeError:
        return None


def _without_secrets(value: Any, depth: int) -> Any:
    if depth == 0:
        return _HIDDEN
    if isinstance(value, dict):
        return {name: _HIDDEN if name in _SECRETS else _without_secrets(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_secrets(inner, depth - 1) for inner in value]
    return value
