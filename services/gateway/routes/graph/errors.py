"""Failures as the Graph API's error envelope: nothing else ever leaves the front door.

Statuses follow the provider's older official table, the only one that has one for every code; clients are asked to go by `code`.
Sources: WhatsApp Cloud API, error codes; Graph API, error handling; recorded answers; read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web

from shared.errors import FieldError, Rejected
from shared.escaped_json import escaped_json
from shared.http.codes import Code

JSON_UTF8: Final = "application/json; charset=UTF-8"

PERMISSION: Final = 10
PARAMETER: Final = 100
NO_TOKEN: Final = 104
BAD_TOKEN: Final = 190
UNKNOWN_PATH: Final = 2500
FAILED: Final = 131000
MISSING: Final = 131008
VALUE: Final = 131009
AWAY: Final = 2
TOO_MANY: Final = 4
UNKNOWN_NODE: Final = 33
"""A subcode of 100."""

_STATUSES: Final[Mapping[int, int]] = {PERMISSION: 403, NO_TOKEN: 401, BAD_TOKEN: 401, AWAY: 503, FAILED: 500}
_TITLES: Final[Mapping[int, str]] = {
    AWAY: "Service temporarily unavailable",
    TOO_MANY: "Application request limit reached",
    PERMISSION: "Application does not have permission for this action",
    PARAMETER: "Invalid parameter",
    FAILED: "Something went wrong",
    MISSING: "Required parameter is missing",
    VALUE: "Parameter value is not valid",
    131053: "Media upload error",
    131055: "Method not allowed",
    132000: "Number of parameters does not match the expected number of params",
    132012: "Parameter format does not match format in the created template",
    132018: "Template parameters are inconsistent",
}
_BARE: Final[Mapping[int, str]] = {
    NO_TOKEN: "An access token is required to request this resource.",
    BAD_TOKEN: "Invalid OAuth access token - Cannot parse access token",
}
"""Said without the code in front."""


@dataclass(eq=False)
class GraphRejected(Rejected):
    """A refusal in the Graph API's own words; made by `refusal`."""

    graph_code: int = PARAMETER
    message: str = ""
    subcode: int | None = None
    kind: str = "OAuthException"


def refusal(
    code: int,
    details: str = "",
    *,
    message: str | None = None,
    subcode: int | None = None,
    kind: str = "OAuthException",
    status: int | None = None,
) -> GraphRejected:
    """A refusal under the provider's `code`; `details` is a sentence that names the field at fault."""
    said = message or _BARE.get(code) or f"(#{code}) {_TITLES.get(code, 'Invalid parameter')}"
    status = _STATUSES.get(code, 400) if status is None else status
    return GraphRejected(f"graph.{code}", details, status, graph_code=code, message=said, subcode=subcode, kind=kind)


def unknown_node(method: str, node_id: str) -> GraphRejected:
    """There is no such object for this caller."""
    shown = node_id if node_id.isascii() and node_id.isprintable() and len(node_id) <= 64 else "…"
    return refusal(
        PARAMETER,
        message=f"Unsupported {method.lower()} request. Object with ID '{shown}' does not exist, cannot be loaded due to missing "
        "permissions, or does not support this operation. Please read the Graph API documentation at "
        "https://developers.facebook.com/docs/graph-api",
        subcode=UNKNOWN_NODE,
        kind="GraphMethodException",
    )


def unknown_edge(name: str) -> GraphRejected:
    """There is no such edge of that object."""
    return refusal(PARAMETER, message=f"(#100) Tried accessing nonexisting field ({name[:64]}) on node type (WhatsAppAccount)")


def faulty(faults: list[FieldError]) -> GraphRejected:
    """The refusal of a body with these faults, of which the first is told: that is what clients show."""
    fault = faults[0]
    code = MISSING if str(fault.code) == Code.FIELD_MISSING else _CODES.get(str(fault.code), VALUE)
    return refusal(code, sentence_of(fault, "The message"))


def sentence_of(fault: FieldError, whole: str) -> str:
    """What is wrong with which field, named as clients write it; `whole` is what to call all of it."""
    return f"{fault.pointer.removeprefix('/').replace('/', '.') or whole} {fault.detail}."


_CODES: Final[Mapping[str, int]] = {
    "template.parameter_count": 132000,
    "template.parameter_name": 132018,
    "template.parameter_type": 132012,
    "template.component_unknown": 132012,
    "template.button_type": 132012,
    "template.button_unknown": 132012,
    "template.card_unknown": 132012,
    "media.unknown": PARAMETER,
    "media.wrong_type": 131053,
    "media.too_large": 131053,
    "phone.invalid": PARAMETER,
    "field.unknown": PARAMETER,
}


def failure(rejected: Rejected, request_id: str, trace_id: str | None) -> web.Response:  # noqa: ARG001  # the trace id has no place here
    """The envelope of any rejection, the server's own included."""
    refused = rejected if isinstance(rejected, GraphRejected) else _translated(rejected)
    error: dict[str, Any] = {"message": refused.message, "type": refused.kind, "code": refused.graph_code}
    if refused.detail:
        error["error_data"] = {"messaging_product": "whatsapp", "details": refused.detail}
    if refused.subcode is not None:
        error["error_subcode"] = refused.subcode
    if refused.status >= 500:
        error["is_transient"] = refused.graph_code == AWAY
    error["fbtrace_id"] = request_id
    reason = "invalid_token" if refused.status == 401 else "invalid_request"
    headers = {
        "Content-Type": JSON_UTF8,
        "Www-Authenticate": f'OAuth "Facebook Platform" "{reason}" "{_quoted(refused.message)}"',
        "X-Fb-Request-Id": request_id,
    }
    if refused.retry_after_seconds is not None:
        headers["Retry-After"] = str(refused.retry_after_seconds)
    return web.Response(body=escaped_json({"error": error}), status=refused.status, headers=headers)


def _translated(rejected: Rejected) -> GraphRejected:
    """What the platform's own words are here."""
    if rejected.errors:
        return faulty(list(rejected.errors))
    code = str(rejected.code)
    if code == "auth.missing":
        return refusal(NO_TOKEN)
    if rejected.status == 401:
        return refusal(BAD_TOKEN)
    if code == Code.ROUTE_UNKNOWN:
        return refusal(UNKNOWN_PATH, message="Unknown path components")
    if code == "idempotency.in_flight":  # the same request is in hand: its repetition will get the same answer
        return _soon(refusal(AWAY, rejected.detail), 1)
    if rejected.status == 503:
        return _soon(refusal(AWAY, rejected.detail), rejected.retry_after_seconds)
    if rejected.status >= 500:
        return refusal(FAILED, rejected.detail)
    if rejected.status == 429:
        return _soon(refusal(TOO_MANY, rejected.detail, status=429), rejected.retry_after_seconds)
    if rejected.status == 413:
        return refusal(PARAMETER, rejected.detail, status=413)
    return refusal(PARAMETER, rejected.detail)


def _soon(refused: GraphRejected, seconds: int | None) -> GraphRejected:
    refused.retry_after_seconds = seconds
    return refused


def _quoted(text: str) -> str:
    """Fit for a header, between quotes."""
    return "".join(character if " " <= character <= "~" and character not in '"\\' else "?" for character in text)
