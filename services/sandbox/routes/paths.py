"""Which path goes where, and what becomes of what a route raises."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import orjson
import structlog

from services.sandbox.answers import Answer, graph_error, response
from services.sandbox.connection import Handler
from services.sandbox.domain.errors import GraphError, unknown_field, unknown_object
from services.sandbox.request import Request
from services.sandbox.routes.control import Control
from services.sandbox.routes.messages import Messages
from services.sandbox.routes.nodes import Nodes
from services.sandbox.routes.templates import TemplateRoutes

log = structlog.get_logger(__name__)

_VERSION: Final = re.compile(r"v\d{1,3}\.\d{1,2}")
_HEALTHY: Final = response(200, orjson.dumps({"status": "ok"}))


class Paths:
    """The sandbox's one handler. Every failure is a Graph error; nothing else leaves it."""

    def __init__(self, messages: Messages, nodes: Nodes, templates: TemplateRoutes, control: Control, twilio: Handler) -> None:
        self._messages = messages
        self._nodes = nodes
        self._templates = templates
        self._control = control
        self._twilio = twilio

    def handle(self, request: Request) -> Answer:
        try:
            return self._route(request)
        except GraphError as error:
            return graph_error(error)
        except Exception:
            log.exception("request.failed")
            return graph_error(GraphError(131000))

    def _route(self, request: Request) -> Answer:
        """`/{version}/…` and `/…` are the same, and so is a trailing slash."""
        if request.is_too_large:
            raise GraphError(100, "The body is too large.", http_status=413)
        segments = _segments(request.path)
        if request.method == "POST" and len(segments) == 2 and segments[1] == "messages":
            return self._messages.post(request, segments[0])
        match request.method, segments:
            case "GET", ["health" | "ready"]:
                return _HEALTHY
            case _, ["control", *rest]:
                return self._control.handle(request, rest)
            case _, ["2010-04-01", *_]:
                return self._twilio(request)
            case _, [waba_id, "message_templates"]:
                return self._templates.graph(request, waba_id[:64])
            case "GET", [phone_number_id]:
                return self._nodes.get(request, phone_number_id)
            case _, [phone_number_id, edge, *_]:
                self._nodes.authorize(request, phone_number_id[:64])
                raise unknown_field(edge[:64], "WhatsAppBusinessPhoneNumber")
        raise unknown_object(segments[0][:64] if segments else "", request.method)


@lru_cache(maxsize=4096)
def _segments(path: str) -> tuple[str, ...]:
    segments = path.split("/")[1:]
    if segments and segments[-1] == "":
        segments.pop()
    if len(segments) > 1 and _VERSION.fullmatch(segments[0]):
        del segments[0]
    return tuple(segments)
