"""Failures at the front door: one envelope, whatever has gone wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from services.gateway.routes.graph.errors import failure, faulty, refusal, unknown_node
from shared.errors import FieldError, Rejected
from shared.http.codes import Code


def told(rejected: Rejected) -> tuple[int, dict[str, Any]]:
    response = failure(rejected, "req_1", "t" * 32)
    assert isinstance(response.body, bytes)
    assert response.headers["Content-Type"] == "application/json; charset=UTF-8"
    error = json.loads(response.body)["error"]
    assert error.pop("fbtrace_id") == response.headers["X-Fb-Request-Id"] == "req_1"
    return response.status, error


@pytest.mark.parametrize(
    ("rejected", "status", "code"),
    [
        (Rejected("auth.missing", "", 401), 401, 104),
        (Rejected("auth.invalid", "", 401), 401, 190),
        (Rejected(Code.ROUTE_UNKNOWN, "", 404), 400, 2500),
        (Rejected(Code.METHOD_NOT_ALLOWED, "", 405), 400, 100),
        (Rejected(Code.REQUEST_TIMED_OUT, "Slow.", 408), 400, 100),
        (Rejected(Code.BODY_TOO_LARGE, "Large.", 413), 413, 100),
        (Rejected("idempotency.in_flight", "", 409), 503, 2),
        (Rejected("idempotency.key_reused", "", 422), 400, 100),
        (Rejected(Code.UNAVAILABLE, "", 503), 503, 2),
        (Rejected(Code.INTERNAL, "", 500), 500, 131000),
        (Rejected("x.y", "", 422, [FieldError("/text/body", Code.FIELD_MISSING, "is required")]), 400, 131008),
        (Rejected("x.y", "", 422, [FieldError("/text/body", Code.FIELD_TOO_LONG, "is long")]), 400, 131009),
        (Rejected("x.y", "", 422, [FieldError("/template", "template.parameter_count", "is wrong")]), 400, 132000),
        (Rejected("x.y", "", 422, [FieldError("/image/id", "media.too_large", "is large")]), 400, 131053),
        (refusal(10, "No."), 403, 10),
        (unknown_node("GET", "1"), 400, 100),
    ],
)
def test_every_rejection_has_a_code_and_a_status_of_the_providers(rejected: Rejected, status: int, code: int) -> None:
    answered, error = told(rejected)
    assert (answered, error["code"]) == (status, code)
    assert error["message"]
    assert error["type"] in {"OAuthException", "GraphMethodException"}


def test_a_fault_names_its_field() -> None:
    _, error = told(faulty([FieldError("/template/components/0/parameters", "x.y", "are wrong")]))
    assert error["error_data"] == {"messaging_product": "whatsapp", "details": "template.components.0.parameters are wrong."}


def test_what_the_caller_wrote_breaks_neither_header_nor_json() -> None:
    response = failure(refusal(100, "a/b@c é", message='say "x"\r\nSet-Cookie: a=b é'), "req_1", None)
    header = response.headers["Www-Authenticate"]
    assert "\r" not in header
    assert header.count('"') == 6
    assert response.body is not None
    assert b"a\\/b\\u0040c \\u00e9" in bytes(response.body)  # type: ignore[arg-type]  # bytes, as written


def test_an_unknown_object_is_named_where_its_name_is_harmless() -> None:
    assert "'106'" in told(unknown_node("GET", "106"))[1]["message"]
    assert "Unsupported post request" in told(unknown_node("POST", "x" * 500))[1]["message"]
    assert "xxx" not in told(unknown_node("POST", "x" * 500))[1]["message"]


def test_waiting_is_told() -> None:
    response = failure(Rejected("gateway.overloaded", "Full.", 503, retry_after_seconds=1), "req_1", None)
    assert response.headers["Retry-After"] == "1"
