"""Answers: bytes that are written at once, or a `Reply` that says how they come. Those of the Graph API in its own manner."""

from __future__ import annotations

import base64
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import Any, Final

import orjson

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.wire import escape


class Manner(Enum):
    """How a held answer ends."""

    ANSWER = "answer"
    HANG = "hang"
    """Nothing for `after_seconds`, then a reset; a server that stops does not wait for it."""
    RESET = "reset"
    DRIP = "drip"
    """Piece by piece, over `after_seconds`."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that holds its connection. `sent` is called once all of it was handed to the connection."""

    wire: bytes = b""
    manner: Manner = Manner.ANSWER
    after_seconds: float = 0.0
    sent: Callable[[], None] | None = None


Prompt = bytes | Reply
"""A whole HTTP response, or how it comes."""
Answer = Prompt | Awaitable[Prompt]
"""What a handler returns. Something to await costs a task."""

API_VERSION: Final = "v25.0"
_JSON: Final = "application/json; charset=UTF-8"
_SUCCESS: Final = (
    f"Content-Type: {_JSON}\r\nFacebook-Api-Version: {API_VERSION}\r\n"
    "Cache-Control: private, no-cache, no-store, must-revalidate\r\n"
)
_SUCCESS_HEAD: Final = f"HTTP/1.1 200 OK\r\n{_SUCCESS}Content-Length: "
_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}


def response(status: int, body: bytes, content_type: str = "application/json", headers: str = "") -> bytes:
    """A whole HTTP response. `headers` are whole lines, each with its end."""
    line = f"HTTP/1.1 {status} {_PHRASES.get(status, 'Unknown')}\r\n"
    return f"{line}Content-Type: {content_type}\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body


def plain_json(value: Any) -> bytes:
    """HTTP 200 with JSON, as the control API answers."""
    return response(200, orjson.dumps(value))


def graph_text(body: str) -> bytes:
    """HTTP 200 with JSON that is written already, in ASCII."""
    return f"{_SUCCESS_HEAD}{len(body)}\r\n\r\n{body}".encode("ascii")


def graph_json(value: Any) -> bytes:
    """HTTP 200 in Meta's JSON style."""
    return graph_text(escape(orjson.dumps(value).decode()).decode("ascii"))


def graph_error(error: GraphError) -> bytes:
    """The error envelope; its `fbtrace_id` is the header's request id."""
    trace_id = "A" + base64.urlsafe_b64encode(os.urandom(16)).decode("ascii").rstrip("=")
    message = error.message.replace('"', "'")
    if not message.isascii() or not message.isprintable():
        message = "request failed"  # a header takes no such text
    headers = (
        f"Facebook-Api-Version: {API_VERSION}\r\nCache-Control: no-store\r\nX-Fb-Request-Id: {trace_id}\r\n"
        f'WWW-Authenticate: OAuth "Facebook Platform" "invalid_request" "{message}"\r\n'
    )
    if error.retry_after_seconds:
        headers += f"Retry-After: {error.retry_after_seconds}\r\n"
    return response(error.http_status, escape(orjson.dumps(error.body(trace_id)).decode()), _JSON, headers)


BROKEN_500: Final = response(500, b"<html><body><h1>Internal Server Error</h1></body></html>", "text/html; charset=utf-8")
"""What a proxy in front of a sick service says: no JSON."""

GARBAGE: Final = f'{_SUCCESS_HEAD}32\r\n\r\n{{"messaging_product":"whatsapp",'.encode("ascii")
"""HTTP 200 whose JSON breaks off."""
