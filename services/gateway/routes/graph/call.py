"""One call at the front door: its path taken apart, its fields read whatever the body's form, its answer written.

Sources: Graph API, reading and making requests; WhatsApp Cloud API reference; what its clients send; read 2026-11.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from aiohttp import BodyPartReader, ClientPayloadError, web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from yarl import URL

from services.gateway.graph.access import FORM_BODY, QUERY_TOKEN
from services.gateway.routes.graph.errors import JSON_UTF8, PARAMETER, UNKNOWN_PATH, GraphRejected, refusal, sentence_of
from shared.errors import FieldError
from shared.escaped_json import escaped_json
from shared.http.codes import Code
from shared.http.faults import is_suspect, pointer_to, text_fault, unstorable
from shared.http.requests import BODY_SECONDS, SANE_HOST, read_body
from shared.http.routes import REQUEST_ID, ROUTE, TENANT_ID
from shared.ids import TenantId

MULTIPART: Final = "multipart/form-data"
UNTOLD: Final = frozenset({QUERY_TOKEN, "appsecret_proof", "client_secret"})
"""Parameters that say who calls."""
OVERRIDES: Final = frozenset({"method", "batch", "ids", "include_headers"})
"""Parameters that would make another call of it."""
BROKEN_FORM: Final = (RequestPayloadError, ClientPayloadError, ConnectionError, HttpProcessingError, ValueError)
"""What reading a form part by part may raise."""
_SEGMENT: Final = re.compile(r"[A-Za-z0-9_:=~-][A-Za-z0-9_.:=~-]{0,511}")
_PART_NAME: Final = re.compile(
    rb"""^content-disposition\s*:(?:[^\r\n]|\r?\n[ \t])*?[;\s]name\s*=\s*["']?([^"';\r\n]*)""", re.IGNORECASE | re.MULTILINE
)
_MAX_SEGMENTS: Final = 4
_MAX_FIELDS: Final = 200
_JSON_STARTS: Final = ("{", "[")


@dataclass(frozen=True, slots=True)
class Call:
    """`version` is as the caller wrote it, empty where there was none; `path` has one to four plain segments."""

    request: web.Request
    version: str
    path: tuple[str, ...]

    @classmethod
    def of(cls, request: web.Request, version: str, rest: str) -> Call:
        """Raises `Rejected` for a path that no object can have."""
        path = tuple(rest.strip("/").split("/"))
        if len(path) > _MAX_SEGMENTS or not all(_SEGMENT.fullmatch(segment) for segment in path):
            raise refusal(UNKNOWN_PATH, message="Unknown path components")
        return cls(request, version, path)

    @property
    def tenant_id(self) -> TenantId:
        return TenantId(self.request[TENANT_ID])

    @property
    def method(self) -> str:
        return "GET" if self.request.method == "HEAD" else self.request.method

    @property
    def node_id(self) -> str:
        return self.path[0]

    @property
    def origin(self) -> str:
        """Scheme and host that the caller asked. Raises `Rejected` where its Host header names none."""
        try:
            if SANE_HOST.fullmatch(self.request.host):
                return str(URL(f"{self.request.scheme}://{self.request.host}").origin())
        except ValueError:  # such a port
            pass
        raise refusal(PARAMETER, "The Host header is not a host, or a host and a port.")

    @property
    def query(self) -> dict[str, str]:
        """The parameters of the address but those that say who calls."""
        return {name: value for name, value in self.request.query.items() if name not in UNTOLD}


async def read_raw(call: Call) -> bytes:
    """The body as it is, within the operation's limit. Raises `Rejected`."""
    form = call.request.get(FORM_BODY)
    return await read_body(call.request, ()) if form is None else form


async def read_fields(call: Call) -> tuple[dict[str, Any], bytes]:
    """The members of the body, JSON or a form, on top of those of the address; and the bytes that they came in.

    Values of forms are texts; JSON in them is left to whoever knows the field. Raises `Rejected`.
    """
    if call.request.content_type == MULTIPART:
        given: Mapping[str, Any] = await _multipart(call)
        data = json.dumps(given).encode()
    else:
        data = await read_raw(call)
        given = fields_in(data)
    return {**call.query, **{name: value for name, value in given.items() if name not in UNTOLD}}, data


def refuse_too_large(call: Call) -> None:
    """Refuse a form that is announced to be over the operation's limit, before any of it is waited for."""
    limit = call.request[ROUTE].body_limit_bytes
    if (call.request.content_length or 0) > limit:
        raise _too_large(limit)


def unpacked(value: Any) -> Any:
    """A member of a form that is an object or an array."""
    if isinstance(value, str) and value.startswith(_JSON_STARTS):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def answer(call: Call, document: Any, status: int = 200) -> web.Response:
    """A success, as the provider writes it."""
    return web.Response(body=escaped_json(document), status=status, headers=answer_headers(call))


def answer_headers(call: Call) -> dict[str, str]:
    headers = {
        "Content-Type": JSON_UTF8,
        "Cache-Control": "private, no-cache, no-store, must-revalidate",
        "X-Fb-Request-Id": call.request[REQUEST_ID],
    }
    return headers | ({"Facebook-Api-Version": call.version} if call.version.startswith("v") else {})


def fields_in(data: bytes) -> Mapping[str, Any]:
    """The members of a body that is JSON or a form. Raises `Rejected`."""
    if not data.strip():
        return {}
    if data.lstrip()[:1] != b"{":
        return _form(data)
    try:
        document = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise refusal(PARAMETER, "The body is not valid JSON.") from None
    _refuse_unstorable(data)
    return document  # type: ignore[no-any-return]  # it began with a brace


def passed_fields(call: Call, data: bytes) -> Mapping[str, Any]:
    """The members of a body that is passed on; of a multipart form the names only. Raises `Rejected`."""
    if call.request.content_type == MULTIPART:
        return {name.decode("latin-1"): None for name in _PART_NAME.findall(data)}
    return fields_in(data)


def _form(data: bytes) -> Mapping[str, Any]:
    try:
        fields = dict(parse_qsl(data.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=_MAX_FIELDS))
    except ValueError:
        raise refusal(PARAMETER, "The body is neither JSON nor a form.") from None
    for name, value in fields.items():
        _refuse_bad_text(name, value)
    return fields


async def _multipart(call: Call) -> dict[str, str]:
    """The fields of a small form; files are another operation's business."""
    refuse_too_large(call)
    limit, size, fields = call.request[ROUTE].body_limit_bytes, 0, dict[str, str]()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            reader = await call.request.multipart()
            while (part := await reader.next()) is not None:
                if not isinstance(part, BodyPartReader) or len(fields) == _MAX_FIELDS:
                    raise refusal(PARAMETER, "The form is nested, or has too many fields.")
                content = bytearray()
                while chunk := await part.read_chunk():
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
                    content += chunk
                value = content.decode()
                _refuse_bad_text(part.name or "", value)
                fields[part.name or ""] = value
    except TimeoutError:
        raise refusal(PARAMETER, "The form came too slowly; send it again.") from None
    except BROKEN_FORM:
        raise refusal(PARAMETER, "The body is not a form, or did not come whole.") from None
    return fields


def _too_large(limit: int) -> GraphRejected:
    return refusal(PARAMETER, f"The body is over this path's limit of {limit} bytes.", status=413)


def _refuse_bad_text(name: str, value: str) -> None:
    if fault := text_fault(value):
        raise refusal(PARAMETER, sentence_of(FieldError(pointer_to((name,)), Code.FIELD_BAD_TEXT, fault), "A field"))


def _refuse_unstorable(data: bytes) -> None:
    """Half a surrogate pair, U+0000, numbers beyond all bounds: no hop could carry them."""
    if (is_suspect(data) or b"\\ud" in data.lower()) and (faults := unstorable(data)):
        raise refusal(PARAMETER, sentence_of(faults[0], "The body"))
