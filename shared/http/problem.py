"""Failures as `application/problem+json` (RFC 9457): the one renderer of everything that is not an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Final

import orjson
from aiohttp import web
from pydantic import BaseModel, Field

from shared.errors import FieldError, Rejected, Retry
from shared.http.codes import Code
from shared.unavailable import is_unavailable

PROBLEM_JSON: Final = "application/problem+json"
MAX_ERRORS: Final = 100
"""Faults listed at most; the caller mends those and asks again."""

_RETRYABLE: Final = frozenset({408, 425, 429, 503})
_PHRASES: Final[Mapping[int, str]] = {
    413: "Content Too Large",
    414: "URI Too Long",
    422: "Unprocessable Content",
}  # RFC 9110; Python 3.11 has the old


class FieldProblem(BaseModel):
    """One fault in the request."""

    pointer: str = Field(
        description='RFC 6901 JSON pointer into the body, "" for all of it; for a query parameter, "/" and its name.'
    )
    code: str = Field(description="Stable code.")
    detail: str = Field(description="What is wrong with it.")


class Problem(BaseModel):
    """Why a request failed (RFC 9457)."""

    type: str = Field(description="`urn:chasqui:problem:` and the code.")
    title: str = Field(description="The status in words.")
    status: int
    detail: str = Field(description="What is wrong and what to do.")
    code: str = Field(description="Stable code to branch on.")
    errors: list[FieldProblem] = Field(default=[], description=f"Each fault of the request, {MAX_ERRORS} at most.")
    request_id: str = Field(description="The same as the header X-Request-Id; quote it when asking for help.")
    trace_id: str | None = Field(default=None, description="W3C trace id.")
    retryable: bool = Field(description="True where the same request may succeed later.")


def rejection_of(error: Exception) -> Rejected:
    """What to tell the caller of a failed request; status 500 means that the error is our bug and must be logged."""
    if isinstance(error, Rejected):
        return error
    if isinstance(error, web.HTTPException):
        return _rejection_of_http(error)
    if isinstance(error, Retry) or is_unavailable(error):
        return Rejected(Code.UNAVAILABLE, Code.UNAVAILABLE.sentence, status=503, retry_after_seconds=1)
    return Rejected(Code.INTERNAL, Code.INTERNAL.sentence, status=500)


def problem_response(rejected: Rejected, request_id: str, trace_id: str | None) -> web.Response:
    """The problem document of a rejection."""
    headers = dict(rejected.headers)
    if rejected.retry_after_seconds is not None:
        headers["Retry-After"] = str(rejected.retry_after_seconds)
    if rejected.status == 401:
        headers.setdefault("WWW-Authenticate", "Bearer")
    body: dict[str, object] = {
        "type": f"urn:chasqui:problem:{rejected.code}",
        "title": phrase(rejected.status),
        "status": rejected.status,
        "detail": rejected.detail,
        "code": str(rejected.code),
        "request_id": request_id,
        "trace_id": trace_id,
        "retryable": rejected.status in _RETRYABLE or rejected.retry_after_seconds is not None,
    }
    if rejected.errors:
        body["errors"] = _listed(rejected.errors)
    # Bytes with surrogates never get here (requests.py), but a pointer must not turn a 422 into a 500.
    return web.Response(body=orjson.dumps(body), status=rejected.status, content_type=PROBLEM_JSON, headers=headers)


def phrase(status: int) -> str:
    """The status in words."""
    try:
        return _PHRASES.get(status) or HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def _listed(errors: Sequence[FieldError]) -> list[dict[str, str]]:
    return [{"pointer": e.pointer, "code": str(e.code), "detail": e.detail} for e in errors[:MAX_ERRORS]]


def _rejection_of_http(error: web.HTTPException) -> Rejected:
    if isinstance(error, web.HTTPMethodNotAllowed):
        allow = {"Allow": ", ".join(sorted(error.allowed_methods))}
        return Rejected(Code.METHOD_NOT_ALLOWED, Code.METHOD_NOT_ALLOWED.sentence, status=405, headers=allow)
    if error.status == 404:
        return Rejected(Code.ROUTE_UNKNOWN, Code.ROUTE_UNKNOWN.sentence, status=404)
    if error.status >= 500:
        return Rejected(Code.INTERNAL, Code.INTERNAL.sentence, status=500)
    return Rejected(Code.REQUEST_MALFORMED, Code.REQUEST_MALFORMED.sentence, status=error.status)
