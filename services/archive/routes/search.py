"""GET /api/search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import web

from services.archive.domain.entry import Direction
from services.archive.domain.hit import BEGINNING, EVER, Filters, Hit, Neighbour
from services.archive.domain.label import fold_label
from services.archive.domain.query import Query, parse
from services.archive.domain.reading import NEWEST, Place
from services.archive.domain.snippet import excerpt
from services.archive.operations import search as operation
from services.archive.payloads.search import SearchQuery
from services.archive.routes.cursor import Cursors
from services.archive.search.answer import FIRST, Answer, Asked, Order, Searcher, Start
from shared.errors import FieldError, Rejected
from shared.http.internal import tenant_of
from shared.http.requests import read_query
from shared.http.responses import json_response
from shared.http.routes import Access, Route


def routes(searcher: Searcher, cursors: Cursors) -> Sequence[Route]:
    """The search over all conversations of the tenant."""

    async def search_entries(request: web.Request) -> web.StreamResponse:
        tenant, query = tenant_of(request), read_query(request, SearchQuery)
        asked = _asked(query)
        scope = "search", tenant, query.model_dump_json(exclude={"cursor", "limit", "context", "facets"})
        answer = await searcher.answer(tenant, asked, _start(cursors.decode(query.cursor, *scope)), query.limit)
        return json_response(_page(answer, asked, cursors.encode(_place(answer.next), *scope)))

    return (operation.SEARCH.served_by(search_entries, Access.INTERNAL),)


def _asked(query: SearchQuery) -> Asked:
    """Raises `Rejected` 422 where nothing can be looked for."""
    words = parse(query.q or "")
    label = fold_label(query.label) if query.label is not None else None
    if query.label is not None and label is None:
        raise _refused("label", "search.label_invalid", "No entry can have this label.")
    filters = Filters(
        is_outgoing=None if query.direction is None else query.direction is Direction.OUTGOING,
        types=tuple(sorted(set(query.type))) or None,
        has_file=query.has_media,
        label=label,
        since=query.from_ or EVER,
        until=query.to or BEGINNING.at,
    )
    if words.is_empty and not (filters.narrow or query.conversation_id or query.participant_id):
        raise _refused(
            "q", "search.no_term", "Ask for a word that must occur, with a letter, a digit or an emoji, or give a filter."
        )
    return Asked(
        words,
        filters,
        query.conversation_id,
        query.participant_id,
        Order(query.order),
        typos=query.typos,
        context=query.context,
        months="month" in query.facets,
    )


def _refused(field: str, code: str, detail: str) -> Rejected:
    return Rejected(code, detail, errors=(FieldError(f"/{field}", code, detail),))


def _start(place: Place) -> Start:
    """A cursor's id is `<row>.<newest row>`, with `.<score>` by relevance."""
    if place is NEWEST:
        return FIRST
    row_no, newest_row, *score = map(int, place.id.split("."))
    return Start(place.at, row_no, newest_row, score[0] if score else None)


def _place(start: Start | None) -> Place | None:
    if start is None:
        return None
    score = "" if start.score is None else f".{start.score}"
    return Place(start.at, f"{start.row_no}.{start.newest_row}{score}")


def _page(answer: Answer, asked: Asked, cursor: str | None) -> Mapping[str, Any]:
    """A `SearchPage`. Plain values, because fifty models a page would take as long as the search."""
    page: dict[str, Any] = {"data": [_hit(hit, answer) for hit in answer.hits]}
    if cursor is not None:
        page["next_cursor"] = cursor
    if answer.count is not None:
        page["total"] = {"count": answer.count, "exact": answer.is_exact}
    if answer.months is not None:
        months, is_exact = answer.months
        counts = [{"month": f"{month.month:%Y-%m}", "count": month.hits} for month in months]
        page["months"] = {"exact": is_exact, "counts": counts}
    if answer.near and not asked.typos:
        page["near"] = [{"word": word, "instead": list(near)} for word, near in answer.near.items()]
    return page


def _hit(hit: Hit, answer: Answer) -> dict[str, Any]:
    told: dict[str, Any] = {
        "entry_id": hit.entry_id,
        "conversation_id": hit.conversation_id,
        "conversation_name": hit.conversation_name,
        "direction": _direction(hit),
        "type": hit.type,
        "sent_at": hit.sent_at,
        "snippet": _snippet(hit.body, answer.query),
    }
    if hit.author_id is not None:
        told["author"] = _author(hit)
    if (around := answer.context.get(hit.row_no)) is not None:
        before, after = around
        told["context"] = {"before": [_neighbour(near) for near in before], "after": [_neighbour(near) for near in after]}
    return told


def _neighbour(near: Neighbour) -> dict[str, Any]:
    told: dict[str, Any] = {
        "entry_id": near.entry_id,
        "direction": _direction(near),
        "type": near.type,
        "sent_at": near.sent_at,
        "text": near.body,
    }
    if near.author_id is not None:
        told["author"] = _author(near)
    return told


def _direction(entry: Hit | Neighbour) -> Direction:
    return Direction.OUTGOING if entry.is_outgoing else Direction.INCOMING


def _author(entry: Hit | Neighbour) -> dict[str, str]:
    told = {"participant_id": entry.author_id or ""}
    if entry.author_name is not None:
        told["name"] = entry.author_name
    return told


def _snippet(body: str, query: Query) -> dict[str, Any]:
    snippet = excerpt(body, query)
    return {"text": snippet.text, "highlights": snippet.highlights}
