"""A route for operators."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel

from shared.http.problem import Problem
from shared.http.routes import Access, Handler, Route

TAG: Final = "Operations"


def operation(
    method: str, path: str, handler: Handler, summary: str, answer: type[BaseModel], *failures: int, **rest: Any
) -> Route:
    """`failures` are statuses that it answers with a problem, beside those of every route."""
    responses: dict[int, type[BaseModel] | None] = {200: answer, **dict.fromkeys(failures, Problem)}
    return Route(method, path, handler, summary, TAG, responses=responses, access=Access.ADMIN, **rest)
