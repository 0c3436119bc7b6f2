"""Which path goes where, and what becomes of what a route raises."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final

import orjson
import structlog

from services.sandbox.answers import Answer, Prompt, Reply, graph_error, response
from services.sandbox.connection import Handler
from services.sandbox.domain.errors import GraphError, unknown_object
from services.sandbox.request import Request
from services.sandbox.routes.accounts import ACCOUNT_EDGES, APP_EDGES, Accounts
from services.sandbox.routes.control import Control
from services.sandbox.routes.media import MediaRoutes
from services.sandbox.routes.messages import Messages
from services.sandbox.routes.nodes import Nodes
from services.sandbox.routes.templates import TemplateRoutes
from services.sandbox.world import World

log = structlog.get_logger(__name__)

_VERSION: Final = re.compile(r"v\d{1,3}\.\d{1,2}")
_PROMPT: Final = (bytes, Reply)
_UNLOGGED: Final = ("/control/", "/health", "/ready")
_LONGEST: Final = 64
"""Characters of a path's part that are told again."""
_HEALTHY: Final = response(200, orjson.dumps({"status": "ok"}))


class Paths:
    """The sandbox's one handler. Every failure is a Graph error; nothing else leaves it."""

    def __init__(
        self,
        world: World,
        messages: Messages,
        nodes: Nodes,
        accounts: Accounts,
        templates: TemplateRoutes,
        media: MediaRoutes,
        control: Control,
        twilio: Handler,
    ) -> None:
        self._world = world
        self._journal = world.journal
        self._messages = messages
        self._nodes = nodes
        self._accounts = accounts
        self._templates = templates
        self._media = media
        self._control = control
        self._twilio = twilio

    def handle(self, request: Request) -> Answer:
        try:
            answer = self._route(request)
            if type(answer) is not bytes and not isinstance(answer, _PROMPT):
                answer = self._awaited(answer)
        except GraphError as error:
            answer = graph_error(error)
        except Exception:
            log.exception("request.failed")
            answer = graph_error(GraphError(131000))
        return answer if request.path.startswith(_UNLOGGED) else self._journal.add(request, answer)

    async def _awaited(self, answer: Awaitable[Prompt]) -> Prompt:
        """What has to wait may be refused, too."""
        try:
            return await answer
        except GraphError as error:
            return graph_error(error)

    def _route(self, request: Request) -> Answer:
        """`/{version}/…` and `/…` are the same, and so is a trailing slash."""
        if request.is_too_large:
            raise GraphError(100, "The body is too large.", http_status=413)
        segments = segments_of(request.path)
        if request.method == "POST" and len(segments) == 2 and segments[1] == "messages":
            return self._messages.post(request, segments[0])
        match request.method, segments:
            case "GET", ["health" | "ready"]:
                return _HEALTHY
            case _, ["control", *rest]:
                return self._control.handle(request, rest)
            case _, ["2010-04-01", *_]:
                return self._twilio(request)
            case "GET", ["whatsapp_business", "attachments"]:
                return self._media.attachment(request)
            case "GET", ["oauth", "access_token"]:
                return self._accounts.token(request)
            case _, [node]:
                return self._node(request, node[:_LONGEST])
            case _, [node, edge, *rest]:
                return self._edge(request, node[:_LONGEST], edge[:_LONGEST], rest)
        raise unknown_object("", request.method)

    def _node(self, request: Request, node: str) -> Answer:
        if node.startswith("upload:"):
            return self._accounts.upload(request, node)
        if request.method in ("GET", "DELETE") and (media := self._media.find(node)) is not None:
            return self._media.node(request, media)
        if (template := self._world.templates.by_id(node)) is not None:
            return self._templates.node(request, template)
        if request.method == "GET" and self._world.numbers.find(node) is None and self._accounts.numbers_of(node):
            return self._counted(node, lambda: self._accounts.handle(request, node))
        return self._nodes.handle(request, node)

    def _edge(self, request: Request, node: str, edge: str, rest: Sequence[str]) -> Answer:
        match edge, rest:
            case "media", [] if request.method == "POST":
                return self._media.upload(request, node)
            case "marketing_messages", [] if request.method == "POST":
                return self._messages.post(request, node, is_marketing=True)
            case "message_templates", []:
                return self._counted(node, lambda: self._templates.graph(request, node))
            case "upsert_message_templates", []:
                return self._counted(node, lambda: self._templates.upsert(request, node))
            case "message_templates", [template_id] if (found := self._world.templates.by_id(template_id)) is not None:
                return self._templates.node(request, found)
            case "unpause", [] if (template := self._world.templates.by_id(node)) is not None:
                return self._templates.unpause(request, template)
            case _, [] if edge in ACCOUNT_EDGES:
                return self._counted(node, lambda: self._accounts.edge(request, node, edge))
            case _, [] if edge in APP_EDGES:
                return self._accounts.app_edge(request, node, edge)
        return self._nodes.edge(request, node, "/".join((edge, *rest))[:_LONGEST])

    def _counted(self, waba_id: str, call: Callable[[], Answer]) -> Answer:
        """The answer to a call of an account, with what is used of its hourly calls. Raises `GraphError` beyond them."""
        world = self._world
        percent = world.business.count_call(waba_id, world.clock.monotonic(), world.behaviour.management_calls_per_hour)
        answer = call()
        if not isinstance(answer, bytes):
            return answer
        use: dict[str, Any] = {"type": "whatsapp", "call_count": percent, "total_cputime": 0, "total_time": 0}
        use["estimated_time_to_regain_access"] = 0
        header = orjson.dumps({waba_id: [use]})
        return answer.replace(b"\r\n", b"\r\nX-Business-Use-Case-Usage: " + header + b"\r\n", 1)


def takes_files(target: bytes) -> bool:
    """Whether a request for this target may bring a file."""
    path = target.partition(b"?")[0]
    return b"/media" in path or b"/upload:" in path


@lru_cache(maxsize=4096)
def segments_of(path: str) -> tuple[str, ...]:
    """The path's parts, without the version."""
    segments = path.split("/")[1:]
    if segments and segments[-1] == "":
        segments.pop()
    if len(segments) > 1 and _VERSION.fullmatch(segments[0]):
        del segments[0]
    return tuple(segments)
