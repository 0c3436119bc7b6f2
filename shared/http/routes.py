"""A route as data: what the server serves, checks and documents."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel

from shared.errors import Rejected
from shared.http.problem import problem_response

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

Authenticator = Callable[[web.Request], Awaitable[None]]
"""Raises `Rejected` with 401 or 403, or stores what it found in the request (`request[TENANT_ID] = …`)."""

FailureWriter = Callable[[Rejected, str, str | None], web.Response]
"""Makes the answer to a request that failed, from what is wrong, the request's id and its trace's."""

JSON: Final = "application/json"
NDJSON: Final = "application/x-ndjson"
FORM: Final = "multipart/form-data"
EVENT_STREAM: Final = "text/event-stream"
"""Answers that go on for as long as the client listens."""
MIB: Final = 1024 * 1024

_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)(?::((?:[^{}]|\{[^{}]*\})+))?\}")


class Access(StrEnum):
    """Who may call. Deny by default: a server without an authenticator for an access does not start."""

    PUBLIC = "public"
    TENANT = "tenant"
    INTERNAL = "internal"
    GRAPH = "graph"
    """A tenant's key, shown as clients of the provider's API show a token."""
    LIVE = "live"
    """A tenant's key, or a ticket that was given for it."""
    METRICS = "metrics"
    """Whoever scrapes: the token of the settings, if there is one."""
    ADMIN = "admin"
    """An operator's key."""
    SERVICE = "service"
    """The internal token, in nobody's name: what one service asks of another for itself or an operator."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One operation; `method` is `*` for any.

    `path` is whole, in aiohttp's form: `/api/messages/{message_id}`, or with a pattern that other paths do not match (404):
    `/api/messages/{message_id:msg_[0-9a-v]{26}}`. GET routes answer HEAD too. `responses` maps a status to the model of its
    body, None for no body; the problems that every such route can answer are added in the document, others are listed here
    as `{429: Problem}`.
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    request: type[BaseModel] | None = None
    responses: Mapping[int, type[BaseModel] | None] = field(default_factory=lambda: {200: None})
    query: type[BaseModel] | None = None
    access: Access = Access.TENANT
    body_limit_bytes: int = MIB
    description: str = ""
    request_examples: Mapping[str, Any] = field(default_factory=dict)
    """By name; the first one is the curl line of the docs page. A text is the body itself, of a media type that is not JSON."""
    query_example: Mapping[str, str] = field(default_factory=dict)
    """Parameters of the curl line; those with a `$` are the reader's to fill in."""
    curl_options: tuple[str, ...] = ()
    """Of the curl line, instead of an example's: what a request needs that is more than JSON."""
    accepts: tuple[str, ...] = (JSON,)
    """Media types of the request body; `read_model` takes JSON only, `read_body` these."""
    is_body_optional: bool = False
    """Nothing in the body is required, and it may be left out."""
    produces: str = JSON
    idempotent: bool = False
    """Honours `Idempotency-Key`."""
    quiet: bool = False
    """Neither logged nor traced: probes."""
    documented: bool = True
    failure: FailureWriter = problem_response
    """The dialect of this route's failures."""

    @property
    def template(self) -> str:
        """The path without patterns: the route's name in logs, spans and the document."""
        return _template(self.path)

    @property
    def parameters(self) -> Mapping[str, str | None]:
        """Path parameters and their patterns."""
        return {match[1]: match[2] for match in _PARAMETER.finditer(self.path)}

    def served_by(self, handler: Handler, access: Access = Access.TENANT) -> Route:
        """The same operation with the one who serves it."""
        return replace(self, handler=handler, access=access)


async def unserved(request: web.Request) -> web.StreamResponse:
    """The handler of operations that are declared in one place and served in another (`Route.served_by`)."""
    raise NotImplementedError(request[ROUTE].template)


@cache
def _template(path: str) -> str:
    """Asked for several times a request."""
    return _PARAMETER.sub(r"{\1}", path)


REQUEST_ID: Final = web.RequestKey("request_id", str)
TENANT_ID: Final = web.RequestKey("tenant_id", str)
"""Set by the tenant authenticator; the canonical log line and the server span carry it."""
CLIENT_ID: Final = web.RequestKey("client_id", str)
"""The id of the API key, set by the gateway's tenant authenticator."""
ROUTE: Final = web.RequestKey("route", Route)
"""A handler that serves many operations may put the one it found in this place: its limits hold, its name is logged."""
