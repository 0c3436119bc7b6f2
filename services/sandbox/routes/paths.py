"""Which path goes where, and what becomes of what a route raises."""

from __future__ import annotations

import re
from typing import Final

import orjson
import structlog
from aiohttp import web

from services.sandbox.answers import graph_error
from services.sandbox.domain.errors import GraphError, unknown_field, unknown_object
from services.sandbox.routes.control import Control
from services.sandbox.routes.messages import Messages
from services.sandbox.routes.nodes import Nodes

log = structlog.get_logger(__name__)

_VERSION: Final = re.compile(r"v\d{1,3}\.\d{1,2}")
_HEALTHY: Final = orjson.dumps({"status": "ok"})


class Paths:
    """The sandbox's one handler. Every failure is a Graph error; nothing else leaves it."""

    def __init__(self, messages: Messages, nodes: Nodes, control: Control) -> None:
        self._messages = messages
        self._nodes = nodes
        self._control = control

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await self._route(request)
        except GraphError as error:
            return graph_error(error)
        except web.HTTPRequestEntityTooLarge:
            return graph_error(GraphError(100, "The body is too large.", http_status=413))
        except ConnectionError:
            raise  # the client went away while its body was read: nobody to answer
        except Exception:
            log.exception("request.failed")
            return graph_error(GraphError(131000))

    async def _route(self, request: web.BaseRequest) -> web.StreamResponse:
        """`/{version}/…` and `/…` are the same, and so is a trailing slash."""
        segments = request.raw_path.partition("?")[0].split("/")
        del segments[0]
        if segments[-1] == "":
            segments.pop()
        if len(segments) > 1 and _VERSION.fullmatch(segments[0]):
            del segments[0]
        match request.method, segments:
            case "POST", [phone_number_id, "messages"]:
                return await self._messages.post(request, phone_number_id)
            case "GET", ["health" | "ready"]:
                return web.Response(body=_HEALTHY, content_type="application/json")
            case _, ["control", *rest]:
                return await self._control.handle(request, rest)
            case "GET", [phone_number_id]:
                return await self._nodes.get(request, phone_number_id)
            case _, [phone_number_id, edge, *_]:
                self._nodes.authorize(request, phone_number_id[:64])
                raise unknown_field(edge[:64], "WhatsAppBusinessPhoneNumber")
        raise unknown_object(segments[0][:64] if segments else "", request.method)
