"""Searching."""

from __future__ import annotations

from typing import Final

from services.archive.payloads.search import SearchPage, SearchQuery
from shared.http.problem import Problem
from shared.http.routes import Route, unserved

TAG: Final = "Archive"

SEARCH: Final = Route(
    "GET",
    "/api/search",
    unserved,
    "Search everything that was said",
    TAG,
    query=SearchQuery,
    query_example={"q": "parcel", "context": "2"},
    responses={200: SearchPage, 400: Problem, 404: Problem, 503: Problem},
    description="Messages in and out of all conversations, imported ones too, in any script: newest first or by relevance, a page "
    "at a time. What is recorded or imported while somebody turns pages does not move them.",
)
ALL: Final = (SEARCH,)
