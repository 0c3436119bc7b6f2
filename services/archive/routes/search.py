"""GET /api/search."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from services.archive.domain.query import Query, parse
from services.archive.domain.reading import FoundEntry
from services.archive.domain.snippet import excerpt
from services.archive.payloads import HitPayload, SearchPage, SearchQuery, Snippet
from services.archive.routes.cursor import Cursors
from services.archive.search import search
from shared.db.pool import Pool
from shared.errors import FieldError, Rejected
from shared.http.internal import tenant_of
from shared.http.problem import Problem
from shared.http.requests import read_query
from shared.http.responses import json_response
from shared.http.routes import Access, Route


def routes(pool: Pool, cursors: Cursors) -> Sequence[Route]:
    """The search over all conversations of the tenant."""

    async def search_entries(request: web.Request) -> web.StreamResponse:
        tenant, asked = tenant_of(request), read_query(request, SearchQuery)
        query = parse(asked.q)
        if query.is_empty:
            detail = "Ask for a word: a letter, a digit or an emoji."
            raise Rejected("search.no_term", detail, errors=(FieldError("/q", "search.no_term", detail),))
        scope = "search", tenant, asked.q
        found = await search(pool, tenant, query, cursors.decode(asked.cursor, *scope), asked.limit)
        return json_response(
            SearchPage(data=[_hit(entry, query) for entry in found.entries], next_cursor=cursors.encode(found.next, *scope))
        )

    return (
        Route(
            "GET",
            "/api/search",
            search_entries,
            "Search messages",
            "search",
            query=SearchQuery,
            responses={200: SearchPage, 400: Problem, 422: Problem},
            access=Access.INTERNAL,
            description="Messages in and out of all conversations that hold every word, newest first.",
        ),
    )


def _hit(entry: FoundEntry, query: Query) -> HitPayload:
    snippet = excerpt(entry.body, query)
    return HitPayload(
        entry_id=entry.id,
        conversation_id=entry.conversation_id,
        direction=entry.direction,
        type=entry.type,
        sent_at=entry.sent_at,
        snippet=Snippet(text=snippet.text, highlights=list(snippet.highlights)),
    )
