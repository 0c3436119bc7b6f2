"""The routes of the front door: any version or none, a slash at the end or none, one answer for every path below it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, NamedTuple

from aiohttp import web

from services.gateway.routes.graph.call import OVERRIDES, Call
from services.gateway.routes.graph.errors import PARAMETER, UNKNOWN_PATH, failure, refusal, unknown_edge
from services.gateway.routes.graph.files import FileOperations
from services.gateway.routes.graph.passing import Passage
from services.gateway.routes.graph.sending import Sending
from services.gateway.routes.graph.subscriptions import Subscriptions
from shared.http.routes import MIB, ROUTE, Access, Route

TAG: Final = "Cloud API"
MESSAGE_LIMIT: Final = 256 * 1024
PASSED_LIMIT: Final = 16 * MIB
"""Of what is passed on: it is held in memory, as a template's sample or a profile's picture are."""
UPLOAD_LIMIT: Final = 101 * MIB
_VERSION: Final = r"v\d{1,3}(?:\.\d{1,3})?|LATEST"
"""Some clients never replace the word."""
_BARE_NODE: Final = r"\d{5,40}|oauth|upload:[^/]+"
"""What a path may begin with that names no version."""
_UNVERSIONED: Final = "[vV][^/]*"
"""What begins like a version and is none."""
_REST: Final = r"(?:/[\s\S]*)?"
"""Line breaks too: what is wrong with them is said in our words."""
_ENCODED_SLASH: Final = "%2F"
_TEMPLATES: Final = "message_templates"
_NODE: Final = re.compile(r"upload:.+|signups|(?=.*\d).+")

Answering = Callable[[Call], Awaitable[web.StreamResponse]]


class _Operation(NamedTuple):
    methods: frozenset[str]
    route: Route
    serve: Answering


class GraphRoutes:
    """Finds the operation of a call: those that Chasqui serves by their edge, all others are the provider's."""

    def __init__(self, sending: Sending, files: FileOperations, subscriptions: Subscriptions, passage: Passage) -> None:
        self._of_edge = {
            "messages": _operation("POST", "/{version}/{phone_number_id}/messages", sending.messages, MESSAGE_LIMIT),
            "marketing_messages": _operation(
                "POST", "/{version}/{phone_number_id}/marketing_messages", sending.marketing, MESSAGE_LIMIT
            ),
            "media": _operation("POST", "/{version}/{phone_number_id}/media", files.upload, UPLOAD_LIMIT),
            "subscriptions": _operation("GET POST DELETE", "/{version}/{app_id}/subscriptions", subscriptions.app),
            "subscribed_apps": _operation("POST DELETE", "/{version}/{account_id}/subscribed_apps", subscriptions.account),
        }
        self._token = _operation("GET POST", "/{version}/oauth/access_token", subscriptions.token)
        self._object = {
            "GET": _operation("GET", "/{version}/{object_id}", files.show),
            "DELETE": _operation("DELETE", "/{version}/{object_id}", files.delete),
            "POST": _operation("POST", "/{version}/{object_id}", subscriptions.number, PASSED_LIMIT),
        }
        self._passed = _operation("GET POST DELETE", "/{version}/{object_id}/{edge}", passage.forward, PASSED_LIMIT)

    def routes(self) -> Sequence[Route]:
        """Those that the server knows; what they find out is logged by its own name."""
        return [
            _route("*", f"/{{version:{_VERSION}}}{{rest:{_REST}}}", self._serve, UPLOAD_LIMIT),
            _route("*", f"/{{node:{_BARE_NODE}}}{{rest:{_REST}}}", self._serve, UPLOAD_LIMIT),
            _route("*", f"/{{unversioned:{_UNVERSIONED}}}{{rest:{_REST}}}", _refuse, MIB),
        ]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if _ENCODED_SLASH in request.rel_url.raw_path.upper():
            raise refusal(PARAMETER, "The path holds an encoded slash.")
        info = request.match_info
        call = Call.of(request, info.get("version", ""), info.get("node", "") + info["rest"])
        if not OVERRIDES.isdisjoint(request.query):
            raise refusal(PARAMETER, "Batches, several objects and other methods in one call are not served here.")
        if (
            call.path[1:2] == (_TEMPLATES,) and call.path[2:] and call.path[2].isdigit()
        ):  # some clients look for a template there
            call = Call(request, call.version, call.path[2:])
        operation = self._find(call)
        request[ROUTE] = operation.route
        return await operation.serve(call)

    def _find(self, call: Call) -> _Operation:
        match call.path:
            case ("oauth", "access_token"):
                return self._token
            case (node,) if _NODE.fullmatch(node) and call.method in self._object:
                return self._object[call.method]
            case (node, edge) if _NODE.fullmatch(node) and edge in self._of_edge:
                operation = self._of_edge[edge]
                if call.method in operation.methods:
                    return operation
                if edge == "subscribed_apps" and call.method == "GET":
                    return self._passed
                raise unknown_edge(edge)
            case (node, *_) if _NODE.fullmatch(node) and call.method in self._passed.methods:
                return self._passed
        raise refusal(UNKNOWN_PATH, message=f"Unknown path components: /{'/'.join(call.path)}"[:300])


async def _refuse(request: web.Request) -> web.StreamResponse:
    raise refusal(UNKNOWN_PATH, message=f"Unknown path components: {request.path}"[:300])


def _operation(methods: str, path: str, serve: Answering, limit: int = MIB) -> _Operation:
    async def never(request: web.Request) -> web.StreamResponse:
        raise NotImplementedError

    return _Operation(frozenset(methods.split()), _route(methods, path, never, limit), serve)


def _route(method: str, path: str, handler: Callable[[web.Request], Awaitable[web.StreamResponse]], limit: int) -> Route:
    return Route(
        method,
        path,
        handler,
        "The provider's API",
        TAG,
        access=Access.GRAPH,
        body_limit_bytes=limit,
        accepts=(),
        idempotent=True,
        documented=False,
        failure=failure,
    )
