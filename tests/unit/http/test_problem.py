from __future__ import annotations

import json

import pytest
from aiohttp import web

from shared.errors import FieldError, Permanent, Rejected, Retry
from shared.http.codes import Code
from shared.http.problem import MAX_ERRORS, Problem, problem_response, rejection_of


def test_a_rejection_is_a_problem_document() -> None:
    rejected = Rejected(
        "message.unknown", "There is no such message.", status=404, errors=[FieldError("/id", "x.y", "is wrong")]
    )
    response = problem_response(rejected, "req_1", "t" * 32)

    assert response.status == 404
    assert response.content_type == "application/problem+json"
    assert isinstance(response.body, bytes)
    assert json.loads(response.body) == {
        "type": "urn:chasqui:problem:message.unknown",
        "title": "Not Found",
        "status": 404,
        "detail": "There is no such message.",
        "code": "message.unknown",
        "errors": [{"pointer": "/id", "code": "x.y", "detail": "is wrong"}],
        "request_id": "req_1",
        "trace_id": "t" * 32,
        "retryable": False,
    }
    Problem.model_validate_json(response.body)


def test_waiting_is_told_in_header_and_body() -> None:
    response = problem_response(Rejected("rate.exceeded", "Slower.", status=429, retry_after_seconds=3), "req_1", None)

    assert response.headers["Retry-After"] == "3"
    assert isinstance(response.body, bytes)
    assert json.loads(response.body)["retryable"] is True


def test_a_missing_key_is_asked_for() -> None:
    assert (
        problem_response(Rejected("key.missing", "Who are you?", status=401), "r", None).headers["WWW-Authenticate"] == "Bearer"
    )


def test_errors_are_bounded() -> None:
    many = [FieldError("/x", "x.y", "is wrong")] * (MAX_ERRORS + 1)
    response = problem_response(Rejected("request.invalid", "", errors=many), "r", None)

    assert isinstance(response.body, bytes)
    assert len(json.loads(response.body)["errors"]) == MAX_ERRORS


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Rejected("a.b", "c", status=418), 418, "a.b"),
        (ConnectionRefusedError("secret"), 503, "unavailable"),
        (TimeoutError(), 503, "unavailable"),
        (Retry("provider.busy"), 503, "unavailable"),
        (Permanent("x.y"), 500, "internal"),
        (ValueError("secret"), 500, "internal"),
        (web.HTTPNotFound(), 404, "route.unknown"),
        (web.HTTPMethodNotAllowed("PUT", ["GET"]), 405, "method.not_allowed"),
        (web.HTTPBadRequest(text="secret"), 400, "request.malformed"),
        (web.HTTPInternalServerError(text="secret"), 500, "internal"),
    ],
)
def test_every_exception_has_an_answer_that_quotes_nothing(error: Exception, status: int, code: str) -> None:
    rejected = rejection_of(error)

    assert (rejected.status, rejected.code) == (status, code)
    assert "secret" not in rejected.detail


def test_codes_are_unique_and_explained() -> None:
    assert all(code.sentence.endswith(".") for code in Code)
    assert len({code.value for code in Code}) == len(Code)
