"""HTTP answers in the manner of the Graph API."""

from __future__ import annotations

import base64
import os
import socket
import struct
from typing import Any, Final

import orjson
from aiohttp import web

from services.sandbox.domain.errors import GraphError
from services.sandbox.domain.wire import escape

API_VERSION: Final = "v25.0"
_SUCCESS: Final = {
    "Content-Type": "application/json; charset=UTF-8",
    "Facebook-Api-Version": API_VERSION,
    "Cache-Control": "private, no-cache, no-store, must-revalidate",
}


def raw_json(body: bytes) -> web.Response:
    """HTTP 200 with a body that is written already."""
    return web.Response(body=body, headers=_SUCCESS)


def graph_json(value: Any) -> web.Response:
    """HTTP 200 in Meta's JSON style."""
    return raw_json(escape(orjson.dumps(value).decode()))


def graph_error(error: GraphError) -> web.Response:
    """The error envelope; its `fbtrace_id` is the header's request id."""
    trace_id = "A" + base64.urlsafe_b64encode(os.urandom(16)).decode("ascii").rstrip("=")
    message = error.message.replace('"', "'")
    if not message.isascii() or not message.isprintable():
        message = "request failed"  # a header takes no such text
    headers = {
        "Content-Type": "application/json; charset=UTF-8",
        "Facebook-Api-Version": API_VERSION,
        "Cache-Control": "no-store",
        "X-Fb-Request-Id": trace_id,
        "WWW-Authenticate": f'OAuth "Facebook Platform" "invalid_request" "{message}"',
    }
    return web.Response(body=escape(orjson.dumps(error.body(trace_id)).decode()), status=error.http_status, headers=headers)


def broken_500() -> web.Response:
    """What a proxy in front of a sick service says: HTTP 500, no JSON."""
    return web.Response(text="<html><body><h1>Internal Server Error</h1></body></html>", status=500, content_type="text/html")


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection (TCP RST) instead of answering. The response returned goes nowhere."""
    transport = request.transport
    if transport is not None:
        sock = transport.get_extra_info("socket")
        if sock is not None:
            # With a linger time of zero, closing sends RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response(status=500)
