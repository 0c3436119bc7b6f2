"""Calls that Chasqui passes on to the provider, with the token that is stored for the number or account.

An answer's own addresses are turned to this host, and carry no token but the caller's.
Sources: Graph API, paged results; WhatsApp Cloud API reference; what its clients read; read 2026-11.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

import structlog
from aiohttp import web
from yarl import URL

from services.gateway.graph.access import QUERY_TOKEN
from services.gateway.graph.client import GraphAnswer, GraphClient, GraphFailed
from services.gateway.graph.nodes import Nodes
from services.gateway.routes.graph.call import MULTIPART, OVERRIDES, UNTOLD, Call, answer_headers, passed_fields, read_raw
from services.gateway.routes.graph.errors import AWAY, FAILED, PARAMETER, UNKNOWN_NODE, refusal, unknown_node
from shared.escaped_json import escaped_json
from shared.unavailable import is_unavailable

log = structlog.get_logger(__name__)

METHODS: Final = frozenset({"GET", "POST", "DELETE"})
_PASSED_IN: Final = ("Content-Type", "file_offset", "Accept-Language")
_PASSED_OUT: Final = ("X-Business-Use-Case-Usage", "X-App-Usage", "X-Ad-Api-Version-Warning", "Retry-After")
_SECRET_FIELDS: Final = re.compile(r"\baccess_token\b")
_VERSION: Final = re.compile(r"/v\d{1,3}\.\d{1,3}(?=/)")
_TO_CHANGE: Final = (b'"paging"', b'"access_token"')
_PAGES: Final = ("next", "previous")
_UPLOAD: Final = "upload:"

TemplatesChanged = Callable[[Call], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Passage:
    """The way to the provider. `public_url` is where callers reach us, empty where that is what they call; `templates_changed` is
    told of what may have changed an account's templates."""

    client: GraphClient
    nodes: Nodes
    public_url: str
    templates_changed: TemplatesChanged

    async def forward(self, call: Call, body: bytes | None = None) -> web.StreamResponse:
        """Pass a call on as it is; `body` where it has been read already. Raises `Rejected`."""
        _, found = await self.asked(call, body)
        return await self.answered(call, found)

    async def asked(self, call: Call, body: bytes | None = None) -> tuple[str, GraphAnswer]:
        """What the provider says to a call, and the number or account in whose name it was asked. Raises `Rejected`."""
        if call.method not in METHODS:
            raise refusal(PARAMETER, message="Unsupported method")
        if body is None:
            body = await read_raw(call) if call.method != "GET" else b""
        sent = _checked(call, body)
        headers = {name: value for name in _PASSED_IN if (value := call.request.headers.get(name, "")) and value.isascii()}
        if not sent:
            headers.pop("Content-Type", None)
        path = "/".join(quote(segment, safe=":=~") for segment in call.path)
        speakers = await self.nodes.speakers(call.tenant_id, call.node_id, call.query.get("phone_number_id"))
        for place, speaker in enumerate(speakers, start=1):
            found = await self._called(
                call,
                speaker,
                path,
                query=call.query,
                data=sent or None,
                headers=headers,
                scheme="OAuth" if call.node_id.startswith(_UPLOAD) else "Bearer",
            )
            if place == len(speakers) or not _is_unknown(found):
                return speaker, found
        raise unknown_node(call.method, call.node_id)

    async def ask(self, call: Call, speaker: str, path: str, *, json: Any, counted: bool) -> web.StreamResponse:
        """Post something of our own wording, and pass the answer on."""
        return await self.answered(call, await self._called(call, speaker, path, json=json, counted=counted))

    async def _called(self, call: Call, speaker: str, path: str, **given: Any) -> GraphAnswer:
        try:
            return await self.client.call(call.tenant_id, speaker, call.method, path, **given)
        except GraphFailed as failed:
            if failed.code == "number.unknown":
                raise unknown_node(call.method, call.node_id) from None
            log.warning("graph.not_answered", code=failed.code, tenant_id=call.tenant_id)
            if failed.is_away:
                raise refusal(AWAY, "The provider cannot be reached now; try again.") from None
            raise refusal(FAILED, f"The provider was not asked, or its answer is of no use: {failed.code}.") from None

    async def answered(self, call: Call, found: GraphAnswer) -> web.Response:
        """The provider's answer as ours. Raises `Rejected` where it is none."""
        document = found.document
        if document is None:
            log.warning("graph.answer_unreadable", status=found.status, tenant_id=call.tenant_id)
            raise refusal(AWAY, "The provider's answer is not JSON; it may be down.")
        if found.status < 300 and call.method != "GET" and _touches_templates(call):
            try:
                await self.templates_changed(call)
            except Exception as error:
                if not is_unavailable(error):
                    raise
                # It is done: the caller would repeat what it is told has failed, and templates are read again in time anyway.
                log.warning("graph.templates_not_due", tenant_id=call.tenant_id)
        headers = answer_headers(call) | {name: found.headers[name] for name in _PASSED_OUT if name in found.headers}
        body = found.body
        if any(mark in body for mark in _TO_CHANGE):
            document = json.loads(body)  # which keeps numbers of any length
            self._own(call, document)
            body = escaped_json(document)
        return web.Response(body=body, status=200 if found.status < 300 else found.status, headers=headers)

    def _own(self, call: Call, document: Any) -> None:
        """Turn the addresses of pages to this host, and leave out tokens."""
        waiting = [document]
        while waiting:
            part = waiting.pop()
            if isinstance(part, list):
                waiting += part
            elif isinstance(part, dict):
                waiting += part.values()
                part.pop(QUERY_TOKEN, None)
                paging = part.get("paging")
                if isinstance(paging, dict):
                    paging.update(
                        {name: self._here(call, paging[name]) for name in _PAGES if isinstance(paging.get(name), str)}
                    )

    def _here(self, call: Call, address: str) -> str:
        """An address of the provider's as one of ours. It shows the caller's token where the caller has shown it in the address."""
        try:
            theirs = URL(address)
        except ValueError:
            return address
        place = URL(self.public_url.rstrip("/") or call.origin)
        prefix = f"{place.raw_path.rstrip('/')}/{call.version}" if call.version else place.raw_path.rstrip("/")
        query = [(name, value) for name, value in theirs.query.items() if name not in UNTOLD]
        if token := call.request.query.get(QUERY_TOKEN):
            query.append((QUERY_TOKEN, token))
        path = _VERSION.split(theirs.raw_path, maxsplit=1)[-1]
        return str(place.with_path(prefix + path, encoded=True).with_query(query))


def _is_unknown(found: GraphAnswer) -> bool:
    error = found.error if found.status >= 400 else None
    return error is not None and error.get("code") == PARAMETER and error.get("error_subcode") == UNKNOWN_NODE


def _touches_templates(call: Call) -> bool:
    """Any object by its id may be a template."""
    edges = call.path[1:]
    return not edges or "template" in edges[0] or edges[0] == "unpause"


def _checked(call: Call, body: bytes) -> bytes:
    """The body as it is passed on: without a token of the caller's, which opens our door and is nobody else's business. Raises
    `Rejected` where it would make another call of it, or asks for a token."""
    given = {} if not body or call.node_id.startswith(_UPLOAD) else passed_fields(call, body)
    if not OVERRIDES.isdisjoint(given):
        raise refusal(PARAMETER, "Batches, several objects and other methods in one call are not served here.")
    if any(_SECRET_FIELDS.search(str(fields)) for fields in (call.query.get("fields"), given.get("fields")) if fields):
        raise refusal(PARAMETER, "Tokens are not given out.")
    if UNTOLD.isdisjoint(given):
        return body
    if call.request.content_type == MULTIPART:
        raise refusal(PARAMETER, "Give the access token as a header.")
    kept = {name: value for name, value in given.items() if name not in UNTOLD}
    return json.dumps(kept).encode() if body.lstrip()[:1] == b"{" else urlencode(kept).encode()
